import assert from "node:assert/strict";
import { BIN_COUNT, histogramOf } from "../../../src/scores/score_histogram.ts";
import { poolScores, poolScoresDispatch } from "../../../src/kernels/scoring/pool_scores.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { seededRandom } from "../../../fixtures/random.ts";
import { referencePool } from "../../support/scores.ts";

/** Scores over all magnitudes that occur, and some that the histogram clamps. */
function randomScores(random: () => number, count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, () => random() < 0.05 ? 0 : 2 ** (-30 + 35 * random()));
}

for (const pooling of ["average", "maximum"] as const) {
  Deno.test(`poolScores() equals ${pooling} pooling and counts exactly what it wrote`, async () => {
    const gpu = await testGpu();
    const random = seededRandom(pooling.length);
    for (const [kvHeads, length, width] of [[1, 1, 7], [2, 3, 1], [3, 300, 7], [2, 255, 5], [1, 2049, 7], [2, 4, 21]]) {
      const capacity = length + 5;
      const scores = new Float32Array(kvHeads * capacity).fill(NaN);
      for (let head = 0; head < kvHeads; head++) scores.set(randomScores(random, length), head * capacity);
      const offset = 100;
      const shape = { kvHeadCount: kvHeads, start: 0, length, capacity, width, pooling };
      const before = Uint32Array.from({ length: offset + BIN_COUNT + 3 }, () => Math.floor(random() * 10));
      const [, pooledData, histogramData] = await runKernel(
        gpu,
        poolScores,
        poolScoresDispatch({ ...shape, histogramOffset: offset, byHead: false }),
        [scores, new Float32Array(kvHeads * capacity).fill(-1), before],
      );
      const pooled = new Float32Array(pooledData);
      const written: number[] = [];
      for (let head = 0; head < kvHeads; head++) {
        const actual = pooled.subarray(head * capacity, (head + 1) * capacity);
        const expected = referencePool(scores.subarray(head * capacity, head * capacity + length), width, pooling);
        for (let j = 0; j < length; j++) {
          // A maximum is exact; an average of positive numbers has `width` roundings.
          const tolerance = pooling === "maximum" ? 0 : (width + 2) * 6e-8 * expected[j];
          assert.ok(
            Math.abs(actual[j] - expected[j]) <= tolerance,
            `head ${head}, row ${j} of ${length}, width ${width}: ${actual[j]}, expected ${expected[j]}`,
          );
          written.push(actual[j]);
        }
        assert.deepEqual([...actual.subarray(length)], Array(5).fill(-1));
      }
      const counted = histogramOf(written);
      const expected = before.map((count, bin) => count + (counted[bin - offset] ?? 0));
      assert.deepEqual(new Uint32Array(histogramData).subarray(0, expected.length), expected);

      const byHead = await runKernel(
        gpu,
        poolScores,
        poolScoresDispatch({ ...shape, histogramOffset: 1, byHead: true }),
        [scores, new Float32Array(kvHeads * capacity), new Uint32Array(1 + kvHeads * BIN_COUNT)],
      );
      const own = Array.from(
        { length: kvHeads },
        (_, head) => histogramOf(written.slice(head * length, (head + 1) * length)),
      );
      assert.deepEqual([...new Uint32Array(byHead[2])], [0, ...own.flatMap((histogram) => [...histogram])]);
    }
  });
}
