import assert from "node:assert/strict";
import { DecodeTally } from "../../../src/routes/generation/decode_tally.ts";

Deno.test("DecodeTally counts the rows of all tokens but the last, from the prompt or the last eviction on", () => {
  const tally = new DecodeTally();
  const generate = (count: number) => {
    for (let i = 0; i < count; i++) tally.generate();
  };
  tally.settle([10, 20]);
  assert.deepEqual(tally.usage, { evictions: 0, rows_per_layer: [10, 20] });
  generate(1);
  assert.deepEqual(tally.usage.rows_per_layer, [10, 20]);
  generate(4);
  assert.deepEqual(tally.usage, { evictions: 0, rows_per_layer: [14, 24] });
  tally.evict([8, 9]);
  assert.deepEqual(tally.usage, { evictions: 1, rows_per_layer: [8, 9] });
  generate(3);
  assert.deepEqual(tally.usage, { evictions: 1, rows_per_layer: [11, 12] });
});
