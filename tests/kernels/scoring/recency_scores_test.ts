import assert from "node:assert/strict";
import { recencyScores, recencyScoresDispatch } from "../../../src/kernels/scoring/recency_scores.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { referenceTop } from "../../support/scores.ts";

Deno.test("recencyScores() ranks the sinks first, in order, then the latest rows, and writes no other", async () => {
  const gpu = await testGpu();
  for (
    const [kvHeads, length, scored, sinks] of [[1, 2, 1, 4], [3, 300, 299, 4], [2, 5000, 4000, 0], [1, 20, 19, 19]]
  ) {
    const capacity = scored + 3;
    const [data] = await runKernel(
      gpu,
      recencyScores,
      recencyScoresDispatch({ kvHeadCount: kvHeads, length, scored, capacity, sinks }),
      [new Float32Array(kvHeads * capacity).fill(-1)],
    );
    const first = Array.from({ length: Math.min(sinks, scored) }, (_, j) => j);
    const rest = Array.from({ length: scored - first.length }, (_, i) => scored - 1 - i);
    for (let head = 0; head < kvHeads; head++) {
      const scores = new Float32Array(data).subarray(head * capacity, (head + 1) * capacity);
      assert.deepEqual(referenceTop(scores.subarray(0, scored), scored), [...first, ...rest]);
      assert.equal(new Set(scores.subarray(0, scored)).size, scored, "no two rows are alike");
      assert.ok(scores.subarray(0, scored).every((score) => score > 0));
      assert.deepEqual([...scores.subarray(scored)], [-1, -1, -1]);
    }
  }
});
