import assert from "node:assert/strict";
import { TENSOR_TYPE_NAMES } from "../../../src/formats/tensor_types.ts";
import { matvecDispatch, matvecKernel, type MatvecVariant } from "../../../src/kernels/forward/matvec.ts";
import { paddedColumns } from "../../../src/kernels/weight_formats/weight_format.ts";
import { weightFormat } from "../../../src/kernels/weight_formats/weight_formats.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { randomMatrix, randomRows } from "../../../fixtures/matrices.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";

const silu = (x: number) => x / (1 + Math.exp(-x));

async function checkMatvec(
  type: (typeof TENSOR_TYPE_NAMES)[number],
  rows: number,
  columns: number,
  count: number,
  batch: number,
  norm: boolean,
  bias: boolean,
  epilogue: MatvecVariant["epilogue"],
) {
  const gpu = await testGpu();
  const random = seededRandom(rows * 7919 + columns * 31 + count);
  const padded = paddedColumns(columns);
  const matrixRows = epilogue === "gated" ? rows * 2 : rows;
  const matrix = randomMatrix(random, type, matrixRows, columns);
  const x = randomRows(random, count, columns, padded);
  const normWeight = randomRows(random, 1, columns, padded);
  const biases = normalValues(random, rows + 3);
  const yStride = rows + 5;
  const yOffset = 3;
  const before = normalValues(random, count * yStride);
  const kernel = matvecKernel({ format: weightFormat(type), columns: padded, batch, norm, bias, epilogue });
  const results = await runKernel(
    gpu,
    kernel,
    matvecDispatch({ kernel, rows, count, xStride: padded, yStride, yOffset, width: columns, epsilon: 1e-5 }),
    [...matrix.planes, x, ...(norm ? [normWeight] : []), ...(bias ? [biases] : []), before],
  );
  const y = new Float32Array(results.at(-1)!);
  for (let m = 0; m < count; m++) {
    const row = x.subarray(m * padded, (m + 1) * padded);
    const scale = norm ? 1 / Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / columns + 1e-5) : 1;
    const product = (n: number) => {
      let sum = 0;
      for (let k = 0; k < padded; k++) sum += matrix.values[n * padded + k] * row[k] * (norm ? normWeight[k] : 1);
      return sum * scale + (bias && n < rows ? biases[n + yOffset] : 0);
    };
    for (let column = 0; column < yStride; column++) {
      const at = m * yStride + column;
      const n = column - yOffset;
      let expected = before[at];
      if (n >= 0 && n < rows) {
        if (epilogue === "store") expected = product(n);
        if (epilogue === "residual") expected = before[at] + product(n);
        if (epilogue === "gated") expected = silu(product(n)) * product(n + rows);
      }
      // Sums of `columns` products of order 1/sqrt(columns) in f32, in another order than the reference's; the offset
      // form (scale * sum(q x) + offset * sum(x)) cancels terms up to 32 times the result's size.
      assert.ok(
        Math.abs(y[at] - expected) <= 1e-4 * (1 + Math.abs(expected)),
        `${type} ${rows}x${columns} count ${count} batch ${batch} ${epilogue}: y[${m}, ${n}] = ${
          y[at]
        }, expected ${expected}`,
      );
    }
  }
}

for (const type of TENSOR_TYPE_NAMES) {
  Deno.test(`matvec() multiplies ${type} matrices of awkward shapes`, async () => {
    const columns = type.endsWith("_K")
      ? [256, 768]
      : type === "F32" || type === "F16" || type === "BF16"
      ? [4, 172, 1056]
      : [32, 160, 1056];
    for (const k of columns) {
      for (const [rows, count, batch] of [[1, 1, 1], [37, 1, 1], [33, 3, 4], [70, 11, 8]]) {
        await checkMatvec(type, rows, k, count, batch, false, false, "store");
      }
    }
  });
}

Deno.test("matvec() fuses the norm, the bias, the residual and the gate", async () => {
  for (const type of ["F32", "Q8_0", "Q4_0", "Q6_K"] as const) {
    for (const batch of [1, 4, 8]) {
      for (const norm of [false, true]) {
        await checkMatvec(type, 41, 256, 5, batch, norm, true, "store");
        await checkMatvec(type, 41, 256, 5, batch, norm, batch === 4, "residual");
        await checkMatvec(type, 41, 256, 5, batch, norm, false, "gated");
      }
    }
  }
});
