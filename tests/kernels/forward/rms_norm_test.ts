import assert from "node:assert/strict";
import { rmsNorm, rmsNormDispatch } from "../../../src/kernels/forward/rms_norm.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";

Deno.test("rmsNorm() equals the f64 formula on awkward widths", async () => {
  const gpu = await testGpu();
  const random = seededRandom(1);
  for (const [rows, width, firstRow] of [[1, 1, 0], [3, 64, 0], [5, 100, 2], [2, 577, 1]]) {
    const stride = Math.ceil(width / 32) * 32;
    const input = new Float32Array((rows + firstRow) * stride);
    for (let row = 0; row < rows + firstRow; row++) input.set(normalValues(random, width, 3), row * stride);
    const weight = new Float32Array(stride);
    weight.set(normalValues(random, width));
    const output = new Float32Array(rows * stride).fill(NaN);
    const results = await runKernel(
      gpu,
      rmsNorm,
      rmsNormDispatch({ stride, width, epsilon: 1e-5, firstRow, count: rows }),
      [input, weight, output],
    );
    const actual = new Float32Array(results[2]);
    for (let row = 0; row < rows; row++) {
      const x = input.subarray((row + firstRow) * stride, (row + firstRow) * stride + width);
      const meanSquare = x.reduce((sum, value) => sum + value * value, 0) / width;
      for (let k = 0; k < stride; k++) {
        const expected = k < width ? x[k] * weight[k] / Math.sqrt(meanSquare + 1e-5) : 0;
        // f32 with a sum of `width` squares: a few units in the last place.
        assert.ok(Math.abs(actual[row * stride + k] - expected) <= 2e-6 * (1 + Math.abs(expected)));
      }
    }
  }
});
