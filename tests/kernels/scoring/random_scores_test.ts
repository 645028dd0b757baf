import assert from "node:assert/strict";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { randomScores, randomScoresDispatch } from "../../../src/kernels/scoring/random_scores.ts";
import { lotKey, rowLot } from "../../../src/scores/row_lots.ts";

Deno.test("randomScores() draws the very lots that the host does, and writes no other", async () => {
  const gpu = await testGpu();
  for (const [kvHeads, scored, seed, layer] of [[1, 1, 0, 0], [3, 300, 7, 1], [2, 5000, 2 ** 32 - 1, 60]]) {
    const capacity = scored + 3;
    const key = lotKey(seed, layer);
    const [data] = await runKernel(
      gpu,
      randomScores,
      randomScoresDispatch({ kvHeadCount: kvHeads, scored, capacity, key }),
      [new Float32Array(kvHeads * capacity).fill(-1)],
    );
    for (let head = 0; head < kvHeads; head++) {
      const own = Array.from(new Float32Array(data).subarray(head * capacity, (head + 1) * capacity));
      const lots = Array.from({ length: scored }, (_, row) => rowLot(key, head, row));
      assert.deepEqual(own, [...lots, -1, -1, -1]);
    }
  }
});
