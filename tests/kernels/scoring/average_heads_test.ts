import assert from "node:assert/strict";
import { averageHeads, averageHeadsDispatch } from "../../../src/kernels/scoring/average_heads.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { seededRandom } from "../../../fixtures/random.ts";

Deno.test("averageHeads() gives every head the mean of all, and leaves what is not scored alone", async () => {
  const gpu = await testGpu();
  const random = seededRandom(1);
  for (const [kvHeads, scored] of [[1, 1], [3, 257], [16, 40]]) {
    const capacity = scored + 2;
    const scores = Float32Array.from({ length: kvHeads * capacity }, () => random());
    const [data] = await runKernel(
      gpu,
      averageHeads,
      averageHeadsDispatch({ kvHeadCount: kvHeads, scored, capacity }),
      [scores],
    );
    new Float32Array(data).forEach((actual, i) => {
      const row = i % capacity;
      if (row >= scored) return assert.equal(actual, scores[i]);
      let mean = 0;
      for (let head = 0; head < kvHeads; head++) mean += scores[head * capacity + row] / kvHeads;
      // At most 16 roundings of positive numbers.
      assert.ok(Math.abs(actual - mean) <= 1e-6 * mean, `${actual}, expected ${mean}`);
    });
  }
});
