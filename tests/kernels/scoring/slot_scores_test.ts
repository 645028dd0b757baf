/** @file The way of scores into slots and out of them, against the same in plain loops. */
import assert from "node:assert/strict";
import { restoreScores, slotScoresDispatch, storeScores } from "../../../src/kernels/scoring/slot_scores.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";

const EMPTY = -7;

Deno.test("scores of some rows go to their slot, and come back to where they were", async () => {
  const gpu = await testGpu();
  for (
    const [kvHeadCount, layerCount, capacity, groupRows, slot, layer, row, count] of [
      [1, 1, 16, 16, 0, 0, 0, 16],
      [3, 2, 100, 32, 2, 1, 60, 31],
      [2, 3, 1300, 512, 1, 0, 512, 512],
    ] as const
  ) {
    const scores = Float32Array.from({ length: kvHeadCount * capacity }, (_, i) => i + 1);
    const blank = new Float32Array(3 * layerCount * kvHeadCount * groupRows).fill(EMPTY);
    const shape = { kvHeadCount, layerCount, capacity, groupRows, slot, layer, row, count };
    const [, stored] = await runKernel(gpu, storeScores, slotScoresDispatch(shape), [scores, blank]);
    const expected = blank.slice();
    for (let head = 0; head < kvHeadCount; head++) {
      for (let i = 0; i < count; i++) {
        expected[((slot * layerCount + layer) * kvHeadCount + head) * groupRows + i] = head * capacity + row + i + 1;
      }
    }
    assert.deepEqual(new Float32Array(stored), expected);
    const empty = new Float32Array(scores.length).fill(EMPTY);
    const inputs = [new Float32Array(stored), empty];
    const [, restored] = await runKernel(gpu, restoreScores, slotScoresDispatch(shape), inputs);
    const isCopied = (i: number) => i % capacity >= row && i % capacity < row + count;
    assert.deepEqual(new Float32Array(restored), scores.map((score, i) => isCopied(i) ? score : EMPTY));
  }
});
