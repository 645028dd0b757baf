import assert from "node:assert/strict";
import { countScores, countScoresDispatch } from "../../../src/kernels/scoring/count_scores.ts";
import { BIN_COUNT, histogramOf } from "../../../src/scores/score_histogram.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { seededRandom } from "../../../fixtures/random.ts";
import { scoresOfAllMagnitudes } from "../../support/scores.ts";

Deno.test("countScores() adds the histogram of all scores, or that of each KV head", async () => {
  const gpu = await testGpu();
  const random = seededRandom(7);
  for (const [kvHeadCount, length] of [[1, 1], [2, 3], [3, 300], [2, 255], [1, 2049], [2, 4097]]) {
    const capacity = length + 5;
    const heads = Array.from({ length: kvHeadCount }, () => scoresOfAllMagnitudes(random, length));
    const scores = new Float32Array(kvHeadCount * capacity).fill(NaN);
    heads.forEach((own, head) => scores.set(own, head * capacity));
    const shape = { kvHeadCount, length, capacity };

    const offset = 100;
    const before = Uint32Array.from({ length: offset + BIN_COUNT + 3 }, () => Math.floor(random() * 10));
    const [, together] = await runKernel(
      gpu,
      countScores,
      countScoresDispatch({ ...shape, histogramOffset: offset, byHead: false }),
      [scores, before],
    );
    const counted = histogramOf(heads.flatMap((own) => [...own]));
    const expected = before.map((count, bin) => count + (counted[bin - offset] ?? 0));
    assert.deepEqual(new Uint32Array(together).subarray(0, expected.length), expected);

    const [, byHead] = await runKernel(
      gpu,
      countScores,
      countScoresDispatch({ ...shape, histogramOffset: 1, byHead: true }),
      [scores, new Uint32Array(1 + kvHeadCount * BIN_COUNT)],
    );
    assert.deepEqual([...new Uint32Array(byHead)], [0, ...heads.flatMap((own) => [...histogramOf(own)])]);
  }
});
