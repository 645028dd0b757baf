import assert from "node:assert/strict";
import { REACH, readAhead, readAheadDispatch, SINKS } from "../../../src/kernels/scoring/read_ahead.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { seededRandom } from "../../../fixtures/random.ts";
import { referenceReadAhead } from "../../support/scores.ts";

Deno.test("readAhead() spreads scores over the rows that follow, but not those of the first rows, as in f64", async () => {
  const gpu = await testGpu();
  const random = seededRandom(1);
  for (
    const [kvHeads, length, decay] of [[1, 1, 0.9], [2, 3, 0.5], [1, 4, 0.9], [3, 300, 0.9], [2, 37, 0.99], [1, 600, 0]]
  ) {
    const capacity = length + 3;
    const scores = new Float32Array(kvHeads * capacity).fill(NaN);
    for (let head = 0; head < kvHeads; head++) {
      // Mostly small, so that a large one's trace is seen to end.
      scores.set(Array.from({ length }, () => random() < 0.05 ? random() : 1e-6 * random()), head * capacity);
    }
    const [, data] = await runKernel(
      gpu,
      readAhead,
      readAheadDispatch({ kvHeadCount: kvHeads, length, capacity, decay }),
      [scores, new Float32Array(kvHeads * capacity).fill(-1)],
    );
    for (let head = 0; head < kvHeads; head++) {
      const actual = new Float32Array(data).subarray(head * capacity, (head + 1) * capacity);
      const expected = referenceReadAhead(
        scores.subarray(head * capacity, head * capacity + length),
        decay,
        REACH,
        SINKS,
      );
      for (let j = 0; j < length; j++) {
        // Two roundings for each row of the reach, of positive numbers; and the decay itself is rounded.
        const tolerance = 3 * (REACH + 1) * 6e-8 * expected[j];
        assert.ok(
          Math.abs(actual[j] - expected[j]) <= tolerance,
          `row ${j} of ${length}: ${actual[j]}, not ${expected[j]}`,
        );
      }
      assert.deepEqual([...actual.subarray(length)], [-1, -1, -1]);
    }
  }
});

Deno.test("a score reaches as many rows as stated, and a sink's none", async () => {
  const gpu = await testGpu();
  const ones = async (at: number) => {
    const scores = new Float32Array(100);
    scores[at] = 1;
    const dispatch = readAheadDispatch({ kvHeadCount: 1, length: 100, capacity: 100, decay: 0.5 });
    const [, data] = await runKernel(gpu, readAhead, dispatch, [scores, new Float32Array(100)]);
    return [...new Float32Array(data)].flatMap((value, j) => value > 0 ? [j] : []);
  };
  assert.deepEqual(await ones(SINKS), Array.from({ length: REACH + 1 }, (_, i) => SINKS + i));
  assert.deepEqual(await ones(SINKS - 1), [SINKS - 1]);
  assert.deepEqual(await ones(0), [0]);
});
