/** @file Products of 8-bit weights against the same sums in plain arithmetic, alone, in company, and by several threads. */
import assert from "node:assert/strict";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { Crew, type Int8Matrix } from "../../src/cpu/kernels/crew.ts";
import { LARGEST_ELEMENT, LARGEST_GROUP, scaleIndex, weightIndex } from "../../src/cpu/kernels/int8_product.ts";
import { Onnxruntime } from "../../src/cpu/runtime/onnxruntime.ts";
import { allJoined, threadsBeside } from "../support/crew_threads.ts";

const runtime = await Onnxruntime.open(1);

/** A matrix with random weights and scales, of which each belongs to `group` columns. */
function randomMatrix(random: () => number, outputs: number, columns: number, group: number) {
  const weights = runtime.bytes(outputs * columns);
  const scales = runtime.floats(outputs * Math.ceil(columns / group));
  const values = new Int8Array(runtime.memory.buffer, weights.address, outputs * columns);
  for (let i = 0; i < values.length; i++) values[i] = randomInteger(random, -127, 127);
  for (let i = 0; i < scales.values.length; i++) scales.values[i] = 0.001 + random();
  const matrix: Int8Matrix = { weights: weights.address, scales: scales.address, group, outputs, columns };
  return { matrix, values, scales: scales.values };
}

/** Random rows, with the largest elements that there may be among them. */
function randomRows(random: () => number, rows: number, columns: number) {
  const x = runtime.bytes(rows * columns * 2);
  const scales = runtime.floats(rows);
  const values = new Int16Array(runtime.memory.buffer, x.address, rows * columns);
  const most = LARGEST_ELEMENT;
  for (let i = 0; i < values.length; i++) values[i] = random() < 0.1 ? most : randomInteger(random, -most, most);
  for (let i = 0; i < rows; i++) scales.values[i] = 0.001 + random();
  return { address: x.address, scalesAddress: scales.address, values, scales: scales.values };
}

/** Outputs, columns, and columns of a group. */
const SHAPES = [
  [4, 16, 64],
  [8, 64, 64],
  [36, 96, 64],
  [36, 80, 16],
  [132, 576, 64],
  [320, 64, LARGEST_GROUP],
  [132, 1536, LARGEST_GROUP],
  [64, 8192, LARGEST_GROUP],
  [4, 16400, LARGEST_GROUP],
];

Deno.test("products of 8-bit weights are the sums that they should be, whatever the shape, the groups and the number of rows", async () => {
  const crew = await Crew.start(runtime, threadsBeside(1));
  await allJoined(crew, 1);
  const random = seededRandom(3);
  for (const [outputs, columns, group] of SHAPES) {
    const { matrix, values, scales } = randomMatrix(random, outputs, columns, group);
    const groups = Math.ceil(columns / group);
    for (const rows of [1, 2, 3, 4, 5, 8, 11]) {
      const x = randomRows(random, rows, columns);
      const y = runtime.floats(rows * outputs);
      crew.multiply(matrix, rows, x.address, x.scalesAddress, y.address, outputs * 4);
      for (let row = 0; row < rows; row++) {
        for (let output = 0; output < outputs; output++) {
          let [expected, magnitudes] = [0, 0];
          for (let g = 0; g < groups; g++) {
            let sum = 0;
            for (let k = g * group; k < Math.min((g + 1) * group, columns); k++) {
              sum += values[weightIndex(output, k, columns)] * x.values[row * columns + k];
            }
            const part = sum * scales[scaleIndex(output, g, groups)] * x.scales[row];
            expected += part;
            magnitudes += Math.abs(part);
          }
          const error = Math.abs(y.values[row * outputs + output] - expected);
          // Sums within groups are exact; they are rounded to f32, and so are two products and the sums of groups.
          assert.ok(
            error <= magnitudes * (2 + groups) * 6e-8,
            `${outputs} x ${columns} by ${group}, row ${row} of ${rows}: ${expected}`,
          );
        }
      }
    }
  }
  crew.close();
});

Deno.test("a sum of the largest products there can be does not leave 32 bits", async () => {
  const crew = await Crew.start(runtime, threadsBeside(1));
  await allJoined(crew, 1);
  for (const columns of [576, 2048, 8192, 65536]) {
    const { matrix, values, scales } = randomMatrix(seededRandom(1), 4, columns, LARGEST_GROUP);
    const x = randomRows(seededRandom(2), 1, columns);
    values.fill(-127);
    scales.fill(0.25);
    x.values.fill(LARGEST_ELEMENT);
    const y = runtime.floats(4);
    crew.multiply(matrix, 1, x.address, x.scalesAddress, y.address, 16);
    const expected = -127 * LARGEST_ELEMENT * columns * 0.25 * x.scales[0];
    assert.ok(Math.abs(y.values[0] / expected - 1) < 3e-6, `${columns} columns: ${y.values[0]}, expected ${expected}`);
  }
  crew.close();
});
