import assert from "node:assert/strict";
import { swiglu, swigluDispatch } from "../../../src/kernels/forward/swiglu.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";

Deno.test("swiglu() gates the second half of each row with the first", async () => {
  const gpu = await testGpu();
  for (const [width, count] of [[4, 1], [172, 3], [260, 2]]) {
    const input = normalValues(seededRandom(width), 2 * width * count, 4);
    const results = await runKernel(gpu, swiglu, swigluDispatch({ width, count }), [
      input,
      new Float32Array(width * count),
    ]);
    const output = new Float32Array(results[1]);
    for (let m = 0; m < count; m++) {
      for (let n = 0; n < width; n++) {
        const gate = input[m * 2 * width + n];
        const expected = gate / (1 + Math.exp(-gate)) * input[m * 2 * width + width + n];
        assert.ok(Math.abs(output[m * width + n] - expected) <= 2e-6 * (1 + Math.abs(expected)));
      }
    }
  }
});
