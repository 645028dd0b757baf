/** @file Products of 8-bit weights against the same sums in plain arithmetic, alone, in company, and by several threads. */
import assert from "node:assert/strict";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { Crew, type Int8Matrix } from "../../src/cpu/kernels/crew.ts";
import { largestElement, weightIndex } from "../../src/cpu/kernels/int8_product.ts";
import { Onnxruntime } from "../../src/cpu/runtime/onnxruntime.ts";
import { allJoined, threadsBeside } from "../support/crew_threads.ts";

const runtime = await Onnxruntime.open(1);

/** A matrix with random weights and scales. */
function randomMatrix(random: () => number, outputs: number, columns: number) {
  const weights = runtime.bytes(outputs * columns);
  const scales = runtime.floats(outputs);
  const values = new Int8Array(runtime.memory.buffer, weights.address, outputs * columns);
  for (let i = 0; i < values.length; i++) values[i] = randomInteger(random, -127, 127);
  for (let i = 0; i < outputs; i++) scales.values[i] = 0.001 + random();
  const matrix: Int8Matrix = { weights: weights.address, scales: scales.address, outputs, columns };
  return { matrix, values, scales: scales.values };
}

/** Random rows, with the largest elements that there may be among them. */
function randomRows(random: () => number, rows: number, columns: number) {
  const x = runtime.bytes(rows * columns * 2);
  const scales = runtime.floats(rows);
  const values = new Int16Array(runtime.memory.buffer, x.address, rows * columns);
  const most = largestElement(columns);
  for (let i = 0; i < values.length; i++) values[i] = random() < 0.1 ? most : randomInteger(random, -most, most);
  for (let i = 0; i < rows; i++) scales.values[i] = 0.001 + random();
  return { address: x.address, scalesAddress: scales.address, values, scales: scales.values };
}

const SHAPES = [[4, 16], [8, 64], [36, 96], [320, 64], [132, 1536], [64, 8192], [4, 16384]];

Deno.test("products of 8-bit weights are the sums that they should be, whatever the shape and the number of rows", async () => {
  const crew = await Crew.start(runtime, threadsBeside(1));
  await allJoined(crew, 1);
  const random = seededRandom(3);
  for (const [outputs, columns] of SHAPES) {
    const { matrix, values, scales } = randomMatrix(random, outputs, columns);
    for (const rows of [1, 2, 3, 4, 5, 8, 11]) {
      const x = randomRows(random, rows, columns);
      const y = runtime.floats(rows * outputs);
      crew.multiply(matrix, rows, x.address, x.scalesAddress, y.address, outputs * 4);
      for (let row = 0; row < rows; row++) {
        for (let output = 0; output < outputs; output++) {
          let sum = 0;
          for (let k = 0; k < columns; k++) {
            sum += values[weightIndex(output, k, columns)] * x.values[row * columns + k];
          }
          const expected = sum * scales[output] * x.scales[row];
          const error = Math.abs(y.values[row * outputs + output] - expected);
          // The sum is exact; it is rounded to f32, and so are two products.
          assert.ok(error <= Math.abs(expected) * 3e-7, `${outputs} x ${columns}, row ${row} of ${rows}: ${expected}`);
        }
      }
    }
  }
  crew.close();
});

Deno.test("a sum of the largest products there can be does not leave 32 bits", async () => {
  const crew = await Crew.start(runtime, threadsBeside(1));
  await allJoined(crew, 1);
  for (const columns of [576, 8192, 16384, 65536]) {
    const { matrix, values, scales } = randomMatrix(seededRandom(1), 4, columns);
    const x = randomRows(seededRandom(2), 1, columns);
    values.fill(-127);
    x.values.fill(largestElement(columns));
    const y = runtime.floats(4);
    crew.multiply(matrix, 1, x.address, x.scalesAddress, y.address, 16);
    const expected = -127 * largestElement(columns) * columns * scales[0] * x.scales[0];
    assert.ok(Math.abs(y.values[0] / expected - 1) < 3e-7, `${columns} columns: ${y.values[0]}, expected ${expected}`);
  }
  crew.close();
});
