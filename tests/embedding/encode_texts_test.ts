import assert from "node:assert/strict";
import { TextsEncoder, TooLongError } from "../../src/embedding/encode_texts.ts";
import { encoderFolder, golden } from "../support/encoders.ts";

const tokenizer = JSON.parse(await Deno.readTextFile(`${encoderFolder("reranker")}/tokenizer.json`));
const encoder = new TextsEncoder(tokenizer, {}, 24);

Deno.test("texts and pairs have the tokens that Python's tokenizers gives them", () => {
  for (const { text, ids } of golden.texts) assert.deepEqual(encoder.encode({ input: text }).ids, ids, text);
  for (const { document, ids, types } of golden.pairs) {
    assert.deepEqual(encoder.encode({ input: golden.query, second: document }), { ids, types });
  }
});

Deno.test("truncated texts and pairs keep their special tokens, as Python's do", () => {
  const { text, tokens, ids } = golden.truncated;
  assert.deepEqual(encoder.encode({ input: text, truncate: tokens }).ids, ids);
  const { document, tokens: pairTokens, ids: pairIds, types } = golden.truncatedPair;
  assert.deepEqual(encoder.encode({ input: golden.query, second: document, truncate: pairTokens }), {
    ids: pairIds,
    types,
  });
});

Deno.test("token ids are taken as they are", () => {
  assert.deepEqual(encoder.encode({ input: [2, 63, 3] }), { ids: [2, 63, 3], types: [0, 0, 0] });
  assert.throws(() => encoder.encode({ input: Array(25).fill(5) }), TooLongError);
});
