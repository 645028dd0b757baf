import assert from "node:assert/strict";
import { poolRows, poolRowsDispatch } from "../../../src/kernels/forward/pool_rows.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";

Deno.test("poolRows() is the f64 mean of the normalised rows, and touches no other row", async () => {
  const gpu = await testGpu();
  const random = seededRandom(1);
  for (const [rows, width, firstRow, count, targetRow] of [[1, 1, 0, 1, 0], [9, 100, 2, 5, 1], [300, 577, 1, 299, 2]]) {
    const stride = Math.ceil(width / 32) * 32;
    const input = new Float32Array(rows * stride);
    for (let row = 0; row < rows; row++) input.set(normalValues(random, width, 3), row * stride);
    const weight = new Float32Array(stride);
    weight.set(normalValues(random, width));
    const output = new Float32Array(4 * stride).fill(7);
    const shape = { stride, width, epsilon: 1e-5, firstRow, count, targetRow };
    const results = await runKernel(gpu, poolRows, poolRowsDispatch(shape), [input, weight, output]);
    const actual = new Float32Array(results[2]);

    const expected = new Float64Array(stride);
    for (let row = firstRow; row < firstRow + count; row++) {
      const x = input.subarray(row * stride, row * stride + width);
      const root = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / width + 1e-5);
      x.forEach((value, k) => expected[k] += value * weight[k] / root / count);
    }
    for (let k = 0; k < 4 * stride; k++) {
      const isTarget = Math.floor(k / stride) === targetRow;
      // A sum of up to 299 terms in f32, each with a norm of `width` squares.
      const error = Math.abs(actual[k] - (isTarget ? expected[k % stride] : 7));
      assert.ok(error <= (isTarget ? 1e-5 : 0), `${k}: ${actual[k]}`);
    }
  }
});
