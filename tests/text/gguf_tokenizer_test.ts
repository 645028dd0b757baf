import assert from "node:assert/strict";
import { decodeLossless } from "../../src/formats/lossless_utf8.ts";
import { ModelFileError } from "../../src/formats/model_file.ts";
import { ggufTokenizer } from "../../src/text/gguf_tokenizer.ts";
import type { EncodeOptions } from "../../src/text/tokenizer.ts";
import { sentencePieceMetadata } from "../support/tokenizers.ts";

/** A byte-level tokenizer of six tokens. */
function byteLevelMetadata(extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.tokens": ["a", "b", "ab", "Ġ", "Ġa", "<|im_end|>"],
    "tokenizer.ggml.merges": ["a b", "Ġ a"],
    ...extra,
  };
}

function assertRefused(metadata: Record<string, unknown>, message: RegExp): void {
  assert.throws(() => ggufTokenizer(metadata), (error: Error) => {
    assert.ok(error instanceof ModelFileError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

function encode(metadata: Record<string, unknown>, text: string, options = {}): number[] {
  return Array.from(ggufTokenizer(metadata).encode(text, options));
}

Deno.test("Pairs merge by score, the leftmost first where scores are equal", () => {
  const words = ["a", "b", "c", "ab", "bc"];
  const flat = { "tokenizer.ggml.add_space_prefix": false, "tokenizer.ggml.add_bos_token": false };
  const equal = new Float32Array(259 + words.length);
  assert.deepEqual(encode(sentencePieceMetadata(words, flat), "abc"), [262, 261]);
  assert.deepEqual(encode(sentencePieceMetadata(words, { ...flat, "tokenizer.ggml.scores": equal }), "abc"), [
    262,
    261,
  ]);
  const rightFirst = equal.with(263, 1);
  assert.deepEqual(
    encode(sentencePieceMetadata(words, { ...flat, "tokenizer.ggml.scores": rightFirst }), "abc"),
    [259, 263],
  );
  // What has been merged merges with what stands before it too.
  assert.deepEqual(encode(sentencePieceMetadata(["a", "b", "c", "bc", "abc"], flat), "abc"), [263]);
});

Deno.test("Characters outside a SentencePiece vocabulary become their bytes, and come back", () => {
  const tokenizer = ggufTokenizer(sentencePieceMetadata(["▁"]));
  const tokens = tokenizer.encode("é😀");
  assert.deepEqual(Array.from(tokens), [1, 259, ...[0xc3, 0xa9, 0xf0, 0x9f, 0x98, 0x80].map((byte) => byte + 3)]);
  assert.equal(tokenizer.decode(tokens), "é😀");
});

Deno.test("Lone surrogates are encoded as U+FFFD", () => {
  const tokenizer = ggufTokenizer(sentencePieceMetadata(["▁"]));
  assert.equal(tokenizer.decode(tokenizer.encode("a\ud800b")), "a\ufffdb");
});

Deno.test("The space before the first word is dropped at the start of a text and kept in a continuation", () => {
  const tokenizer = ggufTokenizer(sentencePieceMetadata(["▁a"]));
  assert.deepEqual(Array.from(tokenizer.encode("a a")), [1, 259, 259]);
  assert.equal(tokenizer.decode([1, 259, 259]), "a a");
  assert.equal(tokenizer.decode([259, 259], { continuation: true }), " a a");
  assert.equal(tokenizer.decode([1, 259], { skipSpecial: false }), "<s> a");
});

Deno.test("Special tokens in a text are read as tokens, or as characters where the caller does not trust it", () => {
  const metadata = byteLevelMetadata({ "tokenizer.ggml.tokens": [..."<|im_end>", "<|im_end|>"].filter(unique) });
  metadata["tokenizer.ggml.merges"] = [];
  const tokens = metadata["tokenizer.ggml.tokens"] as string[];
  const tokenizer = ggufTokenizer(metadata);
  const end = tokens.length - 1;
  assert.deepEqual(Array.from(tokenizer.encode("d<|im_end|>")), [tokens.indexOf("d"), end]);
  const plain = Array.from(tokenizer.encode("<|im_end|>", { parseSpecial: false }));
  assert.deepEqual(plain, [..."<|im_end|>"].map((character) => tokens.indexOf(character)));
  assert.ok(tokenizer.isSpecial(end));
  assert.equal(tokenizer.decode([end]), "");
  assert.equal(tokenizer.decode([end], { skipSpecial: false }), "<|im_end|>");
});

function unique(value: string, index: number, all: readonly string[]): boolean {
  return all.indexOf(value) === index;
}

Deno.test("A text that spells the begin token out gets no second one", () => {
  const metadata = sentencePieceMetadata(["▁a"]);
  assert.deepEqual(encode(metadata, "<s>a"), [1, 259]);
  assert.deepEqual(encode(metadata, "a"), [1, 259]);
  assert.deepEqual(encode(metadata, "a", { addSpecial: false }), [259]);
  assert.deepEqual(encode(metadata, ""), [1]);
});

Deno.test("The end token is appended where the file asks for it", () => {
  assert.deepEqual(encode(sentencePieceMetadata(["▁a"], { "tokenizer.ggml.add_eos_token": true }), "a"), [1, 259, 2]);
});

Deno.test("End tokens are the file's own first, then all well-known ones", () => {
  const tokenizer = ggufTokenizer(sentencePieceMetadata(["<|eot_id|>", "x", "<|im_end|>"], {
    "tokenizer.ggml.eos_token_id": 260,
  }));
  assert.deepEqual(tokenizer.endTokens, [260, 2, 259, 261]);
});

Deno.test("Ids beyond the vocabulary stand for no text", () => {
  const tokenizer = ggufTokenizer(byteLevelMetadata());
  assert.deepEqual(tokenizer.tokenBytes(6), new Uint8Array());
  assert.equal(tokenizer.decode([0, 99, 1]), "ab");
});

Deno.test("A token's bytes may be part of a character, its text then shows U+FFFD", () => {
  const tokenizer = ggufTokenizer(sentencePieceMetadata(["▁a"]));
  assert.deepEqual(tokenizer.tokenBytes(3 + 0xe2), Uint8Array.of(0xe2));
  assert.equal(tokenizer.tokenText(3 + 0xe2), "\ufffd");
  assert.equal(tokenizer.tokenText(259), " a");
});

Deno.test("Whole words that are tokens skip the merges where the pre-tokenizer says so", () => {
  const metadata = byteLevelMetadata({ "tokenizer.ggml.merges": ["Ġ a"] });
  assert.deepEqual(encode({ ...metadata, "tokenizer.ggml.pre": "llama-bpe" }, "ab"), [2]);
  assert.deepEqual(encode(metadata, "ab"), [0, 1]);
});

Deno.test("Tokenizers of unknown kinds are refused by name", () => {
  assertRefused({}, /tokenizer\.ggml\.model is missing/);
  assertRefused({ "tokenizer.ggml.model": "bert" }, /tokenizer\.ggml\.model = "bert"/);
  assertRefused(byteLevelMetadata({ "tokenizer.ggml.pre": "klingon" }), /tokenizer\.ggml\.pre = "klingon".*llama-bpe/);
});

Deno.test("Damaged tokenizers are refused, naming the field", () => {
  const sentencePiece = (extra: Record<string, unknown>) => sentencePieceMetadata(["▁a"], extra);
  const cases: [Record<string, unknown>, RegExp][] = [
    [sentencePiece({ "tokenizer.ggml.tokens": undefined }), /key tokenizer\.ggml\.tokens is missing/],
    [sentencePiece({ "tokenizer.ggml.tokens": [] }), /tokenizer\.ggml\.tokens is empty/],
    [sentencePiece({ "tokenizer.ggml.tokens": "abc" }), /tokenizer\.ggml\.tokens is a string/],
    [byteLevelMetadata({ "tokenizer.ggml.tokens": ["a", 7] }), /tokenizer\.ggml\.tokens\[1\] is 7/],
    [byteLevelMetadata({ "tokenizer.ggml.tokens": ["a", "b", "a"] }), /tokens has "a" twice, as ids 0 and 2/],
    [sentencePiece({ "tokenizer.ggml.scores": new Float32Array(3) }), /scores has 3 entries: expected 260/],
    [sentencePiece({ "tokenizer.ggml.scores": new Float32Array(260).fill(NaN, 5, 6) }), /scores\[5\] is NaN/],
    [sentencePiece({ "tokenizer.ggml.token_type": new Int32Array(2) }), /token_type has 2 entries: expected 260/],
    [sentencePiece({ "tokenizer.ggml.token_type": new Int32Array(260).fill(6) }), /tokens\[0\] is "<unk>".*byte/],
    [sentencePiece({ "tokenizer.ggml.bos_token_id": 1.5 }), /bos_token_id is 1.5: expected a token id below 260/],
    [sentencePiece({ "tokenizer.ggml.bos_token_id": -2 }), /bos_token_id is -2: expected a token id below 260/],
    [sentencePiece({ "tokenizer.ggml.add_bos_token": "yes" }), /add_bos_token is "yes"/],
    [byteLevelMetadata({ "tokenizer.ggml.add_bos_token": true }), /bos_token_id is missing/],
    [byteLevelMetadata({ "tokenizer.ggml.merges": undefined }), /key tokenizer\.ggml\.merges is missing/],
    [byteLevelMetadata({ "tokenizer.ggml.merges": ["a b", "a z"] }), /merges\[1\] is "a z".*no token "z"/],
    [byteLevelMetadata({ "tokenizer.ggml.merges": ["b a"] }), /merges\[0\] is "b a".*no token "ba"/],
    [byteLevelMetadata({ "tokenizer.ggml.merges": ["ab"] }), /merges\[0\] is "ab": expected two tokens/],
  ];
  for (const [metadata, message] of cases) assertRefused(metadata, message);
});

Deno.test("A special token id of -1 means that there is none", () => {
  const tokenizer = ggufTokenizer(byteLevelMetadata({ "tokenizer.ggml.bos_token_id": 0xffffffff }));
  assert.equal(tokenizer.beginToken, null);
});

Deno.test("Token ids beyond the vocabulary are warned about and ignored", () => {
  const warnings: string[] = [];
  const ids = { bos_token_id: 260, eos_token_id: 7000, eot_token_id: 2 ** 32 - 2, eom_token_id: 2n ** 63n };
  const keys = Object.entries(ids).map(([name, id]) => [`tokenizer.ggml.${name}`, id]);
  const metadata = sentencePieceMetadata(["▁a"], Object.fromEntries(keys));
  const tokenizer = ggufTokenizer(metadata, (warning) => warnings.push(warning));
  assert.equal(tokenizer.beginToken, 1);
  assert.deepEqual(tokenizer.endTokens, [2]);
  assert.equal(warnings.length, 4);
  for (const name of Object.keys(ids)) {
    assert.ok(warnings.some((warning) => warning.includes(`tokenizer.ggml.${name} is`)), `${name} in ${warnings}`);
  }
  const flagged = byteLevelMetadata({ "tokenizer.ggml.add_bos_token": true, "tokenizer.ggml.bos_token_id": 6 });
  assert.deepEqual(encode(flagged, "ab"), [2]);
});

Deno.test("Without scores, pairs of a SentencePiece tokenizer merge from left to right", () => {
  const metadata = sentencePieceMetadata(["a", "b", "c", "ab", "bc"], {
    "tokenizer.ggml.scores": undefined,
    "tokenizer.ggml.add_space_prefix": false,
  });
  assert.deepEqual(encode(metadata, "abc"), [1, 262, 261]);
});

Deno.test("Tokens may be bytes that are not UTF-8, and stay different", () => {
  const [first, second] = [Uint8Array.of(0x61, 0xff), Uint8Array.of(0x61, 0xfe)];
  const tokenizer = ggufTokenizer(sentencePieceMetadata([decodeLossless(first), decodeLossless(second)]));
  assert.deepEqual(tokenizer.tokenBytes(259), first);
  assert.deepEqual(tokenizer.tokenBytes(260), second);
  assert.equal(tokenizer.tokenText(260), "a\ufffd");
});

Deno.test("Text of a message is text, whatever it spells, and all else stays as it was", () => {
  const metadata = sentencePieceMetadata(["<|im_end|>", "<tool>", "▁", "a", "</"], {
    "tokenizer.ggml.token_type": Int32Array.from({ length: 264 }, (_, id) => {
      return id === 0 ? 2 : id < 3 || id === 259 ? 3 : id < 259 ? 6 : id === 260 ? 4 : 1;
    }),
  });
  const tokenizer = ggufTokenizer(metadata);
  const message = "a</s><|im_end|><tool>";
  const prompt = `<s>${message}<|im_end|><tool>`;
  const range = [3, 3 + message.length];
  const parts = (options: EncodeOptions) => {
    const tokens = Array.from(tokenizer.encode(prompt, options));
    return { tokens, special: tokens.filter((id) => id < 3 || id === 259), own: tokens.filter((id) => id === 260) };
  };
  assert.deepEqual(parts({}).special, [1, 2, 259, 259]);
  assert.deepEqual(parts({ plainRanges: range }).special, [1, 259]);
  assert.deepEqual(parts({ plainRanges: range }).own, [260, 260]);
  assert.deepEqual(parts({ plainRanges: range, plainTokens: [260] }).own, [260]);
  // One character of the client's is enough: nothing is made a token by what stands around it.
  assert.deepEqual(parts({ plainRanges: [prompt.length - 1, prompt.length], plainTokens: [260] }).own, [260]);
  const text = tokenizer.decode(parts({ plainRanges: range, plainTokens: [260] }).tokens, { skipSpecial: false });
  assert.equal(text, `<s> ${message}<|im_end|><tool>`);
  const ordinary = "<s>a a<|im_end|>";
  assert.deepEqual(tokenizer.encode(ordinary, { plainRanges: [3, 6] }), tokenizer.encode(ordinary));
});

Deno.test("No merge makes a special token of ordinary characters", () => {
  const metadata = sentencePieceMetadata(["<", "/", "s", ">", "</", "s>"], {
    "tokenizer.ggml.add_space_prefix": false,
  });
  assert.deepEqual(encode(metadata, "</s>", { parseSpecial: false, addSpecial: false }), [263, 264]);
});
