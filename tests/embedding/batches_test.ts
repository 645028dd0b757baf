import assert from "node:assert/strict";
import { batchOf, groupByLength } from "../../src/embedding/batches.ts";

const sequence = (length: number) => ({ ids: Array(length).fill(1), types: Array(length).fill(0) });

Deno.test("texts of like lengths share a batch of 2048 tokens at most, padding included", () => {
  const lengths = [900, 3, 1000, 5, 1100, 2048];
  const groups = groupByLength(lengths.map(sequence), false);
  assert.deepEqual(groups, [[1, 3], [0, 2], [4], [5]]);
  assert.deepEqual(groupByLength([5, 3].map(sequence), true), [[1], [0]]);
});

Deno.test("a batch is padded at the ends, and the mask says so", () => {
  const batch = batchOf([{ ids: [7, 8, 9], types: [0, 0, 1] }, { ids: [5], types: [0] }]);
  assert.deepEqual([batch.texts, batch.tokens], [2, 3]);
  assert.deepEqual([...batch.ids], [7n, 8n, 9n, 5n, 0n, 0n]);
  assert.deepEqual([...batch.mask], [1n, 1n, 1n, 1n, 0n, 0n]);
  assert.deepEqual([...batch.types], [0n, 0n, 1n, 0n, 0n, 0n]);
});
