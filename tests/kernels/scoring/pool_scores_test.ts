import assert from "node:assert/strict";
import { poolScores, poolScoresDispatch } from "../../../src/kernels/scoring/pool_scores.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { seededRandom } from "../../../fixtures/random.ts";
import { referencePool, scoresOfAllMagnitudes } from "../../support/scores.ts";

for (const by of ["average", "maximum"] as const) {
  Deno.test(`poolScores() equals ${by} pooling`, async () => {
    const gpu = await testGpu();
    const random = seededRandom(by.length);
    for (const [kvHeads, length, width] of [[1, 1, 7], [2, 3, 1], [3, 300, 7], [2, 255, 5], [1, 2049, 7], [2, 4, 21]]) {
      const capacity = length + 5;
      const scores = new Float32Array(kvHeads * capacity).fill(NaN);
      for (let head = 0; head < kvHeads; head++) scores.set(scoresOfAllMagnitudes(random, length), head * capacity);
      const [, data] = await runKernel(
        gpu,
        poolScores,
        poolScoresDispatch({ kvHeadCount: kvHeads, length, capacity, width, by }),
        [scores, new Float32Array(kvHeads * capacity).fill(-1)],
      );
      for (let head = 0; head < kvHeads; head++) {
        const actual = new Float32Array(data).subarray(head * capacity, (head + 1) * capacity);
        const expected = referencePool(scores.subarray(head * capacity, head * capacity + length), width, by);
        for (let j = 0; j < length; j++) {
          // A maximum is exact; an average of positive numbers has `width` roundings.
          const tolerance = by === "maximum" ? 0 : (width + 2) * 6e-8 * expected[j];
          assert.ok(
            Math.abs(actual[j] - expected[j]) <= tolerance,
            `head ${head}, row ${j} of ${length}, width ${width}: ${actual[j]}, expected ${expected[j]}`,
          );
        }
        assert.deepEqual([...actual.subarray(length)], Array(5).fill(-1));
      }
    }
  });
}
