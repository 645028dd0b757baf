import assert from "node:assert/strict";
import { Detokenizer } from "../../src/text/detokenizer.ts";
import { ggufTokenizer } from "../../src/text/gguf_tokenizer.ts";
import type { DecodeOptions, Tokenizer } from "../../src/text/tokenizer.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { isMissing, sentencePieceMetadata, SMOLLM_DIRECTORY, smollmMetadata } from "../support/tokenizers.ts";

const sentencePiece = ggufTokenizer(sentencePieceMetadata(["▁", "▁a", "é", "😀", "x"]));

function stream(tokenizer: Tokenizer, ids: Iterable<number>, options: DecodeOptions): string[] {
  const detokenizer = new Detokenizer(tokenizer, options);
  return [...Array.from(ids, (id) => detokenizer.push(id)), detokenizer.flush()];
}

function assertStreamsLikeDecode(tokenizer: Tokenizer): void {
  const random = seededRandom(7);
  for (let round = 0; round < 2000; round++) {
    const ids = Array.from({ length: randomInteger(random, 0, 12) }, () =>
      // Two thirds of them where single bytes live, so that characters come in parts and broken; some out of range.
      random() < 0.66 ? randomInteger(random, 0, 258) : randomInteger(random, 0, tokenizer.vocabularySize + 3));
    const options = { skipSpecial: random() < 0.5, continuation: random() < 0.5 };
    const pieces = stream(tokenizer, ids, options);
    assert.equal(pieces.join(""), tokenizer.decode(ids, options), `${JSON.stringify(options)} ${ids}`);
    for (const piece of pieces) assert.ok(piece.isWellFormed(), `Half a surrogate pair from ${ids}`);
  }
}

Deno.test("The stream of any SentencePiece tokens is their text as a whole", () => {
  assertStreamsLikeDecode(sentencePiece);
});

Deno.test({
  name: "The stream of any byte-level tokens is their text as a whole",
  ignore: isMissing(SMOLLM_DIRECTORY),
  async fn() {
    assertStreamsLikeDecode(ggufTokenizer(await smollmMetadata()));
  },
});

Deno.test("A character in parts is held back until it is whole", () => {
  const bytes = Array.from(new TextEncoder().encode("é😀"), (byte) => byte + 3);
  assert.deepEqual(stream(sentencePiece, bytes, {}), ["", "é", "", "", "", "😀", ""]);
});

Deno.test("What stays incomplete, or never was UTF-8, becomes U+FFFD", () => {
  const [lead, stray, x] = [0xe2 + 3, 0x80 + 3, sentencePiece.idOf("x")!];
  assert.deepEqual(stream(sentencePiece, [lead, stray], {}), ["", "", "\ufffd"]);
  assert.deepEqual(stream(sentencePiece, [lead, x], {}), ["", "\ufffdx", ""]);
  assert.deepEqual(stream(sentencePiece, [stray, x], {}), ["\ufffd", "x", ""]);
});

Deno.test("A byte order mark in the text is kept", () => {
  const bytes = Array.from(new TextEncoder().encode("\ufeffx"), (byte) => byte + 3);
  assert.equal(stream(sentencePiece, bytes, {}).join(""), "\ufeffx");
});

Deno.test("The first word keeps its space after a prompt and loses it at the start of a text", () => {
  const word = sentencePiece.idOf("▁a")!;
  assert.deepEqual(stream(sentencePiece, [word, word], {}), [" a", " a", ""]);
  assert.deepEqual(stream(sentencePiece, [1, word, word], { continuation: false }), ["", "a", " a", ""]);
});
