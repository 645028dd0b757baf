import assert from "node:assert/strict";
import { tokenizerMetadata } from "../../src/conversion/tokenizer_metadata.ts";
import { ggufTokenizer } from "../../src/text/gguf_tokenizer.ts";
import { PRE_TOKENIZERS } from "../../src/text/pre_tokenizers.ts";
import { type TokenizerFiles, tokenizerFromFiles } from "../../src/text/tokenizer_json.ts";
import { tinyByteLevelJson } from "../../fixtures/tiny_tokenizer.ts";
import { isMissing, SENTENCE_PIECE_STEPS, SMOLLM_DIRECTORY } from "../support/tokenizers.ts";

const model = (vocabularySize: number) => ({ architecture: "llama", vocabularySize }) as const;
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);

/** A tokenizer as it is written for Llama 2: SentencePiece by merges, a token for every byte, words of small letters. */
function sentencePiece(): TokenizerFiles {
  const letters = [..."▁abcdefghijklmnopqrstuvwxyz"];
  const words = ["the", "▁the", "he", "▁t", "in", "ing", "▁in", "▁a", "and", "nd", "er", "her", "▁there", "re"];
  const tokens = ["<unk>", "<s>", "</s>", ...BYTES, ...letters, ...words, "<tool>"];
  // All ways to make a word of two tokens, as converters write them: in the order of the words.
  const merges = words.flatMap((word) =>
    Array.from({ length: word.length - 1 }, (_, i) => [word.slice(0, i + 1), word.slice(i + 1)])
      .filter((halves) => halves.every((half) => tokens.includes(half)))
  );
  const added = (content: string, special: boolean) => ({
    id: tokens.indexOf(content),
    content,
    special,
    normalized: false,
  });
  return {
    tokenizer: {
      added_tokens: [added("<unk>", true), added("<s>", true), added("</s>", true), added("<tool>", false)],
      ...SENTENCE_PIECE_STEPS,
      pre_tokenizer: null,
      post_processor: {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      },
      model: {
        type: "BPE",
        unk_token: "<unk>",
        byte_fallback: true,
        vocab: Object.fromEntries(tokens.slice(0, -1).map((text, id) => [text, id])),
        merges,
      },
    },
    tokenizerConfig: { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" },
    generationConfig: {},
  };
}

Deno.test("a SentencePiece tokenizer by merges becomes one by scores that cuts words alike", () => {
  const files = sentencePiece();
  const [before, metadata] = [tokenizerFromFiles(files, {}), tokenizerMetadata(files, {}, model(320))];
  const after = ggufTokenizer(metadata);
  for (
    const text of ["the thing there and here", "inherit", "  the\nother", "Zoë 你好 <tool>x</s>", "andandthethereing"]
  ) {
    assert.deepEqual(after.encode(text), before.encode(text), text);
    assert.equal(after.decode(after.encode(text)), before.decode(before.encode(text)));
  }
  assert.deepEqual([after.beginToken, after.endTokens], [1, [2]]);
  // The embedding has rows for more tokens than there are.
  assert.equal((metadata["tokenizer.ggml.tokens"] as string[]).at(-1), "[PAD319]");
  assert.equal((metadata["tokenizer.ggml.token_type"] as Int32Array).at(-1), 5);
});

Deno.test("the way in which texts are cut is found among those that GGUF has names for", () => {
  const json = JSON.parse(tinyByteLevelJson(320)["tokenizer.json"]);
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
  // Distinguishable with a vocabulary in which only small letters merge.
  for (const name of ["gpt-2", "deepseek-coder", "qwen2"]) {
    const patterns = PRE_TOKENIZERS.get(name)!.patterns;
    const split = (pattern: string) => ({
      type: "Split",
      pattern: { Regex: pattern },
      behavior: "Isolated",
      invert: false,
    });
    const tokenizer = {
      ...json,
      pre_tokenizer: { type: "Sequence", pretokenizers: [...patterns.map(split), byteLevel] },
    };
    const files = { tokenizer, tokenizerConfig: { eos_token: "<|endoftext|>" }, generationConfig: {} };
    const made = ggufTokenizer(tokenizerMetadata(files, {}, model(320)));
    const text = "abcabc don't 123abc a1b2 \n\n  abab";
    assert.deepEqual(made.encode(text), tokenizerFromFiles(files, {}).encode(text));
  }
});

Deno.test("a way of cutting texts that has no name is refused, and so are more tokens than rows", () => {
  const json = JSON.parse(tinyByteLevelJson(320)["tokenizer.json"]);
  const byThree = { type: "Split", pattern: { Regex: "[a-z]{3}" }, behavior: "Isolated", invert: false };
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
  const tokenizer = { ...json, pre_tokenizer: { type: "Sequence", pretokenizers: [byThree, byteLevel] } };
  const files = { tokenizer, tokenizerConfig: { eos_token: "<|endoftext|>" }, generationConfig: {} };
  assert.throws(() => tokenizerMetadata(files, {}, model(320)), /has no name for.*serve the folder itself/);
  assert.throws(() => tokenizerMetadata(sentencePiece(), {}, model(300)), /300 rows: expected a row for every token/);
});

Deno.test({
  name: "SmolLM2's tokenizer becomes the one that llama.cpp's converter makes of it",
  ignore: isMissing(SMOLLM_DIRECTORY),
  async fn() {
    const tokenizer = JSON.parse(await Deno.readTextFile(`${SMOLLM_DIRECTORY}/tokenizer.json`));
    const files = { tokenizer, tokenizerConfig: {}, generationConfig: {} };
    const metadata = tokenizerMetadata(files, { bos_token_id: 1, eos_token_id: 2 }, model(49152));
    assert.equal(metadata["tokenizer.ggml.pre"], "smollm");
  },
});
