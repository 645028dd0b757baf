import assert from "node:assert/strict";
import { gatherSums, gatherSumsDispatch, type GatherSumsShape } from "../../../src/kernels/scoring/gather_sums.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { randomInteger, seededRandom } from "../../../fixtures/random.ts";

const EMPTY = -7;

Deno.test("gatherSums() takes each head's ranked sums, then those of the window, and touches nothing else", async () => {
  const shapes: GatherSumsShape[] = [
    { kvHeadCount: 1, start: 0, length: 2, ranked: 1, window: 1, capacity: 2 },
    { kvHeadCount: 3, start: 11, length: 400, ranked: 301, window: 33, capacity: 420 },
    { kvHeadCount: 2, start: 5, length: 30, ranked: 0, window: 7, capacity: 40 },
  ];
  for (const [seed, shape] of shapes.entries()) {
    const { kvHeadCount, start, length, ranked, window, capacity } = shape;
    const random = seededRandom(seed);
    const sums = Float32Array.from({ length: kvHeadCount * capacity }, random);
    const indices = Uint32Array.from(
      { length: kvHeadCount * capacity },
      () => randomInteger(random, 0, length - window - 1),
    );
    const kept = new Float32Array(kvHeadCount * capacity).fill(EMPTY);
    const expected = kept.slice();
    for (let head = 0; head < kvHeadCount; head++) {
      const first = head * capacity;
      for (let row = 0; row < ranked + window; row++) {
        const source = row < ranked ? indices[first + row] : length - window + row - ranked;
        expected[first + row] = sums[first + start + source];
      }
    }
    const results = await runKernel(await testGpu(), gatherSums, gatherSumsDispatch(shape), [sums, indices, kept]);
    assert.deepEqual(new Float32Array(results[2]), expected);
  }
});
