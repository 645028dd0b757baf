import assert from "node:assert/strict";
import { ModelFileError } from "../../src/formats/model_file.ts";
import { type TokenizerFiles, tokenizerFromFiles } from "../../src/text/tokenizer_json.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { fakeGguf, SENTENCE_PIECE_STEPS } from "../support/tokenizers.ts";

const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
const WORDS = ["<unk>", "<s>", "</s>", ...BYTES, "▁", "h", "i", "▁h", "▁hi", "<tool>"];
const id = (text: string) => WORDS.indexOf(text);

/** A tokenizer as the converters write it for Llama 2. */
function llamaFiles(
  tokenizer: Record<string, unknown> = {},
  tokenizerConfig: Record<string, unknown> = {},
): TokenizerFiles {
  return {
    tokenizer: {
      added_tokens: [
        { id: 0, content: "<unk>", special: true, normalized: false },
        { id: 1, content: "<s>", special: true, normalized: false },
        { id: 2, content: "</s>", special: true, normalized: false },
        { id: id("<tool>"), content: "<tool>", special: false, normalized: false },
      ],
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
        vocab: Object.fromEntries(WORDS.slice(0, -1).map((text, i) => [text, i])),
        merges: ["▁ h", ["▁h", "i"]],
      },
      ...tokenizer,
    },
    tokenizerConfig: { bos_token: { content: "<s>" }, eos_token: "</s>", ...tokenizerConfig },
    generationConfig: {},
  };
}

Deno.test("A tokenizer.json of the SentencePiece kind encodes, decodes and names its special tokens", () => {
  const tokenizer = tokenizerFromFiles(llamaFiles(), {});
  assert.equal(tokenizer.vocabularySize, WORDS.length);
  assert.equal(tokenizer.beginToken, 1);
  assert.deepEqual(tokenizer.endTokens, [2]);
  assert.ok(tokenizer.addBeginToken);
  const tokens = tokenizer.encode("hi hé");
  assert.deepEqual(Array.from(tokens), [1, id("▁hi"), id("▁h"), id("<0xC3>"), id("<0xA9>")]);
  assert.equal(tokenizer.decode(tokens), "hi hé");
  assert.equal(tokenizer.decode([id("▁hi")], { continuation: true }), " hi");
});

Deno.test("Added tokens that are not special are found even where special ones are not looked for", () => {
  const tokenizer = tokenizerFromFiles(llamaFiles(), {});
  const tokens = Array.from(tokenizer.encode("<tool></s>", { addSpecial: false, parseSpecial: false }));
  assert.equal(tokens[0], id("<tool>"));
  assert.ok(!tokens.includes(2));
  assert.deepEqual(Array.from(tokenizer.encode("<tool></s>", { addSpecial: false })), [id("<tool>"), 2]);
  assert.equal(tokenizer.decode([id("<tool>"), 2]), "<tool>");
});

Deno.test("Begin and end tokens also come from the model's and the generation's configuration", () => {
  const files = { ...llamaFiles({ post_processor: null }, { bos_token: null, eos_token: null }) };
  const tokenizer = tokenizerFromFiles(
    { ...files, generationConfig: { eos_token_id: [id("<tool>"), 2] } },
    { bos_token_id: 1, eos_token_id: 2 },
  );
  assert.equal(tokenizer.beginToken, 1);
  assert.ok(!tokenizer.addBeginToken);
  assert.deepEqual(tokenizer.endTokens, [id("<tool>"), 2]);
});

Deno.test("tokenizer_config.json decides whether a begin token is added, where it says so", () => {
  assert.ok(!tokenizerFromFiles(llamaFiles({}, { add_bos_token: false }), {}).addBeginToken);
  assert.ok(tokenizerFromFiles(llamaFiles({ post_processor: null }, { add_bos_token: true }), {}).addBeginToken);
});

Deno.test("Digits outside ASCII are cut like those inside, as Hugging Face's own implementation does", () => {
  const words = ["a", "1", "Ù", "¡", "Ù¡", "aÙ", "aÙ¡", "1Ù", "1Ù¡"];
  const tokenizer = tokenizerFromFiles({
    tokenizer: {
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Digits", individual_digits: true },
          { type: "ByteLevel", add_prefix_space: false, use_regex: false },
        ],
      },
      post_processor: null,
      decoder: { type: "ByteLevel" },
      model: {
        type: "BPE",
        vocab: Object.fromEntries(words.map((text, i) => [text, i])),
        merges: ["Ù ¡", "a Ù", "a Ù¡", "1 Ù", "1 Ù¡"],
      },
    },
    tokenizerConfig: {},
    generationConfig: {},
  }, {});
  // U+0661, the Arabic digit one, is the bytes D9 A1, written "Ù¡": it must not merge with its neighbours.
  assert.deepEqual(Array.from(tokenizer.encode("a1\u0661")), [
    words.indexOf("a"),
    words.indexOf("1"),
    words.indexOf("Ù¡"),
  ]);
});

Deno.test("Damaged and unknown tokenizer.json files are refused, naming the field", () => {
  const model = llamaFiles().tokenizer.model as Record<string, unknown>;
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ model: undefined }, /has no model/],
    [{ model: { ...model, type: "Unigram" } }, /model\.type = "Unigram"/],
    [{ model: { ...model, vocab: undefined } }, /model\.vocab is missing/],
    [{ model: { ...model, merges: undefined } }, /model\.merges is missing/],
    [{ model: { ...model, merges: ["h x"] } }, /model\.merges\[0\] is "h x".*no token "x"/],
    [{ model: { ...model, vocab: { a: 0, b: 0 } } }, /model\.vocab\["b"\] is 0.*"a" already/],
    [{ model: { ...model, vocab: { a: 4e9 } } }, /model\.vocab\["a"\] is 4000000000/],
    [{ model: { ...model, vocab: { a: "1" } } }, /model\.vocab\["a"\] is "1"/],
    [{ added_tokens: [{ id: 1 }] }, /added_tokens\[0\]\.content/],
    [{ added_tokens: [{ id: -1, content: "x" }] }, /added_tokens\[0\]\.id is -1/],
    [{ decoder: { type: "WordPiece" } }, /decoder\.type = "WordPiece"/],
  ];
  for (const [tokenizer, message] of cases) {
    assert.throws(() => tokenizerFromFiles(llamaFiles(tokenizer), {}), (error: Error) => {
      assert.ok(error instanceof ModelFileError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("A directory without tokenizer.json, or with one that is no JSON, is refused", async () => {
  const path = await Deno.makeTempDir();
  try {
    const file = { ...fakeGguf({}), format: "safetensors" as const, path };
    await assert.rejects(loadTokenizer(file), { name: "ModelFileError", message: /has no tokenizer\.json/ });
    await Deno.writeTextFile(`${path}/tokenizer.json`, "{");
    await assert.rejects(loadTokenizer(file), { name: "ModelFileError", message: /tokenizer\.json is not JSON/ });
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});
