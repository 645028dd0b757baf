/** @file Rows rounded for products, and what becomes of them before, against f64 arithmetic. */
import assert from "node:assert/strict";
import { normalValues, seededRandom } from "../../fixtures/random.ts";
import { Crew, type RowsMade } from "../../src/cpu/kernels/crew.ts";
import { COLUMN_MULTIPLE, LARGEST_ELEMENT } from "../../src/cpu/kernels/int8_product.ts";
import { Onnxruntime } from "../../src/cpu/runtime/onnxruntime.ts";
import { allJoined, threadsBeside } from "../support/crew_threads.ts";

const runtime = await Onnxruntime.open(1);

const EPSILON = 1e-5;

/** What is to be rounded of a row, given what lies behind it and the weights of a norm. */
const REFERENCES: Readonly<Record<RowsMade["by"], (x: number[], behind: number[], weights: number[]) => number[]>> = {
  roundPlain: (x) => x,
  roundNormed: (x, _, weights) => {
    const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    return x.map((value, i) => value * weights[i] / Math.sqrt(mean + EPSILON));
  },
  roundGated: (x, up) => x.map((gate, i) => gate / (1 + Math.exp(-gate)) * up[i]),
};

for (const [by, reference] of Object.entries(REFERENCES)) {
  Deno.test(`${by}: a row times its scale is the row, to half a step, whatever its length`, async () => {
    const crew = await Crew.start(runtime, threadsBeside(1));
    await allJoined(crew, 1);
    const random = seededRandom(7);
    for (const [rows, count] of [[1, 8], [1, 576], [3, 24], [5, 40], [17, 1536], [64, 104]]) {
      const columns = Math.ceil(count / COLUMN_MULTIPLE) * COLUMN_MULTIPLE;
      // What lies behind a row is the other half of it, and something of nobody's.
      const stride = 2 * count + 4;
      const x = runtime.floats(rows * stride);
      x.values.set(normalValues(random, rows * stride).map((value, i) => value * (i % 7 === 0 ? 30 : 2)));
      // A row of zeros has no largest element.
      if (rows === 17) x.values.fill(0, 4 * stride, 5 * stride);
      const weights = runtime.floats(count);
      weights.values.set(normalValues(random, count));
      const y = runtime.bytes((rows * columns + 1) * 2);
      const rounded = new Int16Array(runtime.memory.buffer, y.address, rows * columns + 1).fill(-7);
      const scales = runtime.floats(rows);
      const given = [...x.values];

      const made = by === "roundNormed"
        ? { by, weights: weights.address, epsilon: EPSILON } as const
        : { by } as RowsMade;
      const target = { address: y.address, scales: scales.address, columns };
      crew.round(x.address, stride * 4, count, rows, target, made);

      for (let row = 0; row < rows; row++) {
        const at = row * stride;
        const expected = reference(
          given.slice(at, at + count),
          given.slice(at + count, at + 2 * count),
          [...weights.values],
        );
        const largest = Math.max(...expected.map(Math.abs));
        const scale = scales.values[row];
        assert.ok(Math.abs(scale - largest / LARGEST_ELEMENT) <= 2e-6 * scale, `row ${row}: scale ${scale}`);
        for (let i = 0; i < columns; i++) {
          const value = rounded[row * columns + i];
          if (i >= count) assert.equal(value, 0, `row ${row}, padding ${i}`);
          // Half a step, and what f32 is off.
          else assert.ok(Math.abs(value * scale - expected[i]) <= 0.5 * scale + 3e-6 * largest, `row ${row}, ${i}`);
        }
      }
      assert.equal(rounded[rows * columns], -7, "nothing is written behind the last row");
    }
    crew.close();
  });
}
