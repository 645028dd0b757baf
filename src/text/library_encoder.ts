/**
 * @file Encoding through npm's @huggingface/tokenizers, with its deviations from Hugging Face's own mended.
 *
 * What the library (0.2.0) does differently, found by comparing with llama.cpp and the original:
 * - `Digits` knows ASCII digits only; the original splits at every numeric character.
 * - `ByteLevel` uses JavaScript's `\s`, which counts U+FEFF as a space and U+0085 as none.
 * - `Metaspace` ignores `add_prefix_space: false` of old files, and `split`.
 */

import { Tokenizer as Library } from "@huggingface/tokenizers";
import { GPT2_PATTERN } from "./pre_tokenizers.ts";

/** A token that is looked for in the text before anything else happens to it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly normalized?: boolean;
}

/** The parts of a `tokenizer.json` that encoding needs. */
export interface TokenizerJson {
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
  readonly model: unknown;
}

/** A function that gives the tokens of a text, without begin and end tokens. */
export function libraryEncoder(json: TokenizerJson): (text: string, parseSpecial: boolean) => number[] {
  const mended = { ...json, pre_tokenizer: mendPreTokenizer(json.pre_tokenizer), post_processor: null, decoder: null };
  const library = new Library(mended, {});
  // Built when first needed: few texts are encoded so, and a large vocabulary takes a second and 100 MB.
  let plainLibrary: Library | undefined;
  return (text, parseSpecial) => {
    const encoder = parseSpecial
      ? library
      : plainLibrary ??= new Library({ ...mended, added_tokens: json.added_tokens.filter((t) => !t.special) }, {});
    return encoder.encode(text, { add_special_tokens: false }).ids;
  };
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
