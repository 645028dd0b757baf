/** @file Token ids against llama.cpp's, from tools/golden/tokenizer.mjs. */

import assert from "node:assert/strict";
import { openModel } from "../../src/formats/open.ts";
import { PRE_TOKENIZERS } from "../../src/text/pre_tokenizers.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer_json.ts";
import {
  fakeGguf,
  isMissing,
  SENTENCE_PIECE_STEPS,
  SMOLLM_DIRECTORY,
  smollmMetadata,
  STORIES_MODEL,
} from "../support/tokenizers.ts";

interface Golden {
  readonly plain: readonly number[][];
  readonly special: readonly number[][];
  readonly decoded: readonly { readonly tokens: number[]; readonly text: string }[];
  readonly endTokens: readonly number[];
  readonly addBeginToken: boolean;
}

const golden: {
  readonly texts: readonly string[];
  readonly stories: Golden;
  readonly smollm: Golden;
  /** A vocabulary in which any two neighbouring bytes merge unless a cut lies between them. */
  readonly pairs: { readonly tokens: readonly string[]; readonly merges: readonly string[] };
  readonly cuts: Readonly<
    Record<string, {
      readonly rarestFirst: readonly number[][];
      readonly mostFrequentFirst: readonly number[][];
      readonly addBeginToken: boolean;
    }>
  >;
} = JSON.parse(await Deno.readTextFile(new URL("../golden/tokenizer.json", import.meta.url)));

/**
 * Texts that llama.cpp approximates: its tekken does not count combining marks among the letters, and its CJK range of
 * deepseek-coder misses the ideographic space. Hugging Face's tokenizers 0.23 cuts them as Ebb does.
 */
const APPROXIMATED: Readonly<Record<string, RegExp>> = {
  "tekken": /combining|हिन्दी/,
  "deepseek-coder": /ideographic/,
};

function assertEncodes(
  tokenizer: Tokenizer,
  parseSpecial: boolean,
  expected: readonly number[][],
  except?: RegExp,
): void {
  golden.texts.forEach((text, i) => {
    if (except?.test(text)) return;
    const tokens = Array.from(tokenizer.encode(text, { addSpecial: false, parseSpecial }));
    assert.deepEqual(tokens, expected[i], `The tokens of ${JSON.stringify(text)} differ`);
  });
}

function assertEqualsLlamaCpp(tokenizer: Tokenizer, expected: Golden): void {
  assertEncodes(tokenizer, false, expected.plain);
  assertEncodes(tokenizer, true, expected.special);
  for (const { tokens, text } of expected.decoded) assert.equal(tokenizer.decode(tokens), text);
  assert.deepEqual(tokenizer.endTokens.toSorted((a, b) => a - b), expected.endTokens);
  assert.equal(tokenizer.addBeginToken, expected.addBeginToken);
}

Deno.test({
  name: "A SentencePiece tokenizer encodes and decodes as llama.cpp does",
  ignore: isMissing(STORIES_MODEL),
  async fn() {
    const file = await openModel(STORIES_MODEL);
    assertEqualsLlamaCpp(await loadTokenizer(file), golden.stories);
    file.close();
  },
});

Deno.test({
  name: "A byte-level tokenizer in GGUF metadata encodes and decodes as llama.cpp does",
  ignore: isMissing(SMOLLM_DIRECTORY),
  async fn() {
    assertEqualsLlamaCpp(await loadTokenizer(fakeGguf(await smollmMetadata())), golden.smollm);
  },
});

Deno.test({
  name: "A tokenizer.json encodes and decodes as llama.cpp does with the same tokenizer in GGUF",
  ignore: isMissing(SMOLLM_DIRECTORY),
  async fn() {
    const config = JSON.parse(await Deno.readTextFile(`${SMOLLM_DIRECTORY}/config.json`));
    const file = { ...fakeGguf(config), format: "safetensors" as const, path: SMOLLM_DIRECTORY };
    assertEqualsLlamaCpp(await loadTokenizer(file), golden.smollm);
  },
});

for (const [name, expected] of Object.entries(golden.cuts)) {
  Deno.test(`The pre-tokenizer ${name} cuts words where llama.cpp does`, async () => {
    const load = (merges: readonly string[]) =>
      loadTokenizer(fakeGguf({
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": name,
        "tokenizer.ggml.tokens": golden.pairs.tokens,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 1,
      }));
    const tokenizer = await load(golden.pairs.merges);
    assert.equal(tokenizer.addBeginToken, expected.addBeginToken);
    assertEncodes(tokenizer, false, expected.rarestFirst, APPROXIMATED[name]);
    assertEncodes(await load(golden.pairs.merges.toReversed()), false, expected.mostFrequentFirst, APPROXIMATED[name]);
  });
}

Deno.test({
  name: "A SentencePiece tokenizer rewritten as a tokenizer.json encodes and decodes as llama.cpp does",
  ignore: isMissing(STORIES_MODEL),
  async fn() {
    const file = await openModel(STORIES_MODEL);
    const tokenizer = tokenizerFromFiles({
      tokenizer: asTokenizerJson(file.metadata["tokenizer.ggml.tokens"] as string[]),
      tokenizerConfig: { bos_token: "<s>", eos_token: "</s>", add_bos_token: true },
      generationConfig: {},
    }, {});
    file.close();
    assertEqualsLlamaCpp(tokenizer, golden.stories);
  },
});

/** As transformers converts Llama's tokenizers; the scores of this one fall from each token to the next. */
function asTokenizerJson(tokens: readonly string[]): Record<string, unknown> {
  const known = new Set(tokens);
  const merges = tokens.slice(259).flatMap((token) => {
    const cuts = Array.from({ length: token.length - 1 }, (_, i) => [token.slice(0, i + 1), token.slice(i + 1)]);
    return cuts.filter(([left, right]) => known.has(left) && known.has(right));
  });
  return {
    added_tokens: tokens.slice(0, 3).map((content, id) => ({ id, content, special: true, normalized: false })),
    ...SENTENCE_PIECE_STEPS,
    model: {
      type: "BPE",
      unk_token: "<unk>",
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, use_regex: true };
const JSON_PRE_TOKENIZERS: Readonly<Record<string, unknown>> = {
  "gpt-2": BYTE_LEVEL,
  "smollm": { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, BYTE_LEVEL] },
};
for (const [name, preTokenizer] of Object.entries(JSON_PRE_TOKENIZERS)) {
  Deno.test(`The steps of ${name} in a tokenizer.json cut words where llama.cpp does`, () => {
    const { tokens, merges } = golden.pairs;
    const tokenizer = tokenizerFromFiles({
      tokenizer: {
        added_tokens: [],
        pre_tokenizer: preTokenizer,
        decoder: { type: "ByteLevel" },
        model: { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
      },
      tokenizerConfig: {},
      generationConfig: {},
    }, {});
    assertEncodes(tokenizer, false, golden.cuts[name].rarestFirst);
  });
}

Deno.test("Every pre-tokenizer is compared with llama.cpp under one of its names", () => {
  const compared = new Set(Object.keys(golden.cuts).map((name) => PRE_TOKENIZERS.get(name)));
  for (const [name, preTokenizer] of PRE_TOKENIZERS) assert.ok(compared.has(preTokenizer), name);
});
