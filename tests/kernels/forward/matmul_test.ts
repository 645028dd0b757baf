import assert from "node:assert/strict";
import { TENSOR_TYPE_NAMES } from "../../../src/formats/tensor_types.ts";
import { matmulDispatch, matmulKernel } from "../../../src/kernels/forward/matmul.ts";
import { paddedColumns } from "../../../src/kernels/weight_formats/weight_format.ts";
import { weightFormat } from "../../../src/kernels/weight_formats/weight_formats.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { randomMatrix, randomRows } from "../../../fixtures/matrices.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";

for (const type of TENSOR_TYPE_NAMES) {
  Deno.test(`matmul() multiplies ${type} matrices of awkward shapes`, async () => {
    const gpu = await testGpu();
    const shapes = type.endsWith("_K")
      ? [[3, 256, 5, false, "store"], [130, 512, 67, false, "residual"]] as const
      : [[1, 32, 1, false, "store"], [65, type === "F32" ? 172 : 96, 130, true, "store"], [
        66,
        64,
        64,
        true,
        "residual",
      ]] as const;
    for (const [rows, columns, count, bias, epilogue] of shapes) {
      const random = seededRandom(rows + columns + count);
      const padded = paddedColumns(columns);
      const matrix = randomMatrix(random, type, rows, columns);
      const [yFirst, yOffset] = [1, 3];
      const yStride = rows + 4;
      const x = randomRows(random, count, columns, padded);
      const biases = normalValues(random, rows + yOffset);
      const before = normalValues(random, (count + yFirst) * yStride);
      for (const subgroupSize of new Set([undefined, gpu.subgroupSize])) {
        const results = await runKernel(
          gpu,
          matmulKernel({ format: weightFormat(type), bias, epilogue, subgroupSize }),
          matmulDispatch({ rows, columns: padded, count, xStride: padded, yStride, yOffset, yFirst }),
          [...matrix.planes, x, ...(bias ? [biases] : []), before],
        );
        const y = new Float32Array(results.at(-1)!);
        for (let at = 0; at < y.length; at++) {
          const m = Math.floor(at / yStride) - yFirst;
          const n = at % yStride - yOffset;
          let expected = before[at];
          if (m >= 0 && n >= 0 && n < rows) {
            let sum = 0;
            for (let k = 0; k < padded; k++) sum += matrix.values[n * padded + k] * x[m * padded + k];
            expected = sum + (bias ? biases[n + yOffset] : 0) + (epilogue === "residual" ? before[at] : 0);
          }
          // As for matvec, without the cancellation: weights are decoded before they are multiplied.
          assert.ok(
            Math.abs(y[at] - expected) <= 2e-5 * (1 + Math.abs(expected)),
            `${type} ${rows}x${columns} x ${count} ${epilogue}: y[${m}, ${n}] = ${y[at]}, expected ${expected}`,
          );
        }
      }
    }
  });
}
