/**
 * @file Encoding through npm's @huggingface/tokenizers, with its deviations from Hugging Face's own mended.
 *
 * What the library (0.2.0) does differently, found by comparing with llama.cpp and the original:
 * - `Digits` knows ASCII digits only; the original splits at every numeric character.
 * - `ByteLevel` uses JavaScript's `\s`, which counts U+FEFF as a space and U+0085 as none.
 * - `Metaspace` ignores `add_prefix_space: false` of old files, and `split`.
 * - Added tokens: `single_word` is ignored, and nothing tells which of them may be found where. They are found here.
 */

import { Tokenizer as Library } from "@huggingface/tokenizers";
import { acceptedBy, type AddedToken, AddedTokenFinder } from "./added_tokens.ts";
import { GPT2_PATTERN } from "./pre_tokenizers.ts";
import type { EncodeOptions } from "./tokenizer.ts";

/** The parts of a `tokenizer.json` that encoding needs. */
export interface TokenizerJson {
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
  readonly model: unknown;
}

/** Encodes texts by the steps of a `tokenizer.json`. */
export class LibraryEncoder {
  // deno-lint-ignore no-explicit-any -- the library types its steps as objects, though they are functions
  readonly #steps: { readonly normalizer: any; readonly pre_tokenizer: any; readonly model: any };
  readonly #rawTokens: AddedTokenFinder;
  readonly #normalizedTokens: AddedTokenFinder;

  constructor(json: TokenizerJson) {
    const pre_tokenizer = mendPreTokenizer(json.pre_tokenizer);
    this.#steps = new Library({ ...json, pre_tokenizer, added_tokens: [], post_processor: null, decoder: null }, {});
    const isNormalized = ({ normalized }: AddedToken) => normalized === true && json.normalizer !== null;
    this.#rawTokens = new AddedTokenFinder(json.added_tokens.filter((token) => !isNormalized(token)));
    const normalized = json.added_tokens.filter(isNormalized);
    this.#normalizedTokens = new AddedTokenFinder(normalized, ({ content }) => this.normalize(content));
  }

  normalize(text: string): string {
    return this.#steps.normalizer === null ? text : this.#steps.normalizer(text);
  }

  /** The tokens of a text, without begin and end tokens. */
  encode(text: string, options: EncodeOptions): number[] {
    return this.#rawTokens.split(text, acceptedBy(options)).flatMap((section) =>
      "id" in section ? [section.id] : this.#encodeSection(section.text, section.start, options)
    );
  }

  #encodeSection(text: string, start: number, options: EncodeOptions): number[] {
    const { pre_tokenizer, model } = this.#steps;
    const normalized = this.normalize(text);
    const { plainRanges = [] } = options;
    // Only rare vocabularies look for special tokens in normalized text; the others need no ranges in it.
    let ranges: number[] | undefined;
    const sections = this.#normalizedTokens.split(normalized, (...place) => {
      ranges ??= plainRanges.map((at) => this.normalize(text.slice(0, Math.max(0, at - start))).length);
      return acceptedBy({ ...options, plainRanges: ranges })(...place);
    });
    return sections.flatMap((section) => {
      if ("id" in section) return [section.id];
      // Some pre-tokenizers put a space before the first word of the whole text only.
      const section_index = start + section.start === 0 ? 0 : 1;
      const words: string[] = pre_tokenizer === null ? [section.text] : pre_tokenizer(section.text, { section_index });
      return model(words).map((token: string) => model.tokens_to_ids.get(token) ?? model.unk_token_id);
    });
  }
}

// deno-lint-ignore no-explicit-any -- a tree of JSON that the library checks
function mendPreTokenizer(node: any): unknown {
  switch (node?.type) {
    case "Sequence":
      return { ...node, pretokenizers: node.pretokenizers.map(mendPreTokenizer) };
    case "Digits":
      return split(node.individual_digits ? String.raw`\p{N}` : String.raw`\p{N}+`);
    case "ByteLevel":
      if (node.use_regex === false || node.add_prefix_space) return node;
      return sequence(split(GPT2_PATTERN), { ...node, use_regex: false });
    case "Metaspace": {
      const scheme = node.prepend_scheme ?? (node.add_prefix_space === false ? "never" : "always");
      const space = node.replacement ?? "▁";
      const metaspace = { ...node, prepend_scheme: scheme };
      return node.split === false ? metaspace : sequence(metaspace, split(`${space}[^${space}]*|[^${space}]+`));
    }
    default:
      return node;
  }
}

function split(pattern: string): unknown {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}

function sequence(...pretokenizers: unknown[]): unknown {
  return { type: "Sequence", pretokenizers };
}
