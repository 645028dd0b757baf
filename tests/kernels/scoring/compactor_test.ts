/** @file Attention within chunks, and leverage, against sums written out in f64. */
import assert from "node:assert/strict";
import { chunkAttention, chunkAttentionDispatch } from "../../../src/kernels/scoring/chunk_attention.ts";
import { leverageDispatches, leverageScores, sketchKeys } from "../../../src/kernels/scoring/leverage_scores.ts";
import { leverageOf } from "../../../src/scores/leverage.ts";
import { sketchWeight, sketchWidth } from "../../../src/scores/sketch.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { kvArray, readKv } from "../../../fixtures/kv.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";

const EMPTY = -7;
const [ATTENTION_ROWS, LEVERAGE_ROWS] = [256, 512];

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

for (const element of ["f16", "f32"] as const) {
  Deno.test(`chunkAttention() of ${element} keys is what the rows of a chunk pay to each other`, async () => {
    const gpu = await testGpu();
    const random = seededRandom(3);
    for (
      const [kvHeadCount, group, headSize, start, length, window] of [
        [1, 1, 8, 0, 2, 1],
        [2, 2, 16, 5, 290, 8],
        [1, 1, 64, 0, 100, 4],
      ]
    ) {
      const capacity = start + length + 3;
      const scored = length - window;
      const queryHeadCount = kvHeadCount * group;
      const queries = normalValues(random, capacity * queryHeadCount * headSize, 0.5);
      const keys = kvArray(element, normalValues(random, kvHeadCount * capacity * headSize));
      const scores = new Float32Array(kvHeadCount * capacity).fill(EMPTY);
      const shape = { kvHeadCount, queryHeadCount, start, length, scored, capacity };
      const kernel = chunkAttention(element, headSize);
      const [, , data] = await runKernel(gpu, kernel, chunkAttentionDispatch(shape), [queries, keys, scores]);
      const actual = new Float32Array(data);
      const stored = readKv(element, keys.buffer);
      for (let kvHead = 0; kvHead < kvHeadCount; kvHead++) {
        const key = (row: number) => {
          const at = (kvHead * capacity + start + row) * headSize;
          return stored.subarray(at, at + headSize);
        };
        const expected = new Float64Array(length);
        for (let first = 0; first < length; first += ATTENTION_ROWS) {
          const rows = Array.from({ length: Math.min(ATTENTION_ROWS, length - first) }, (_, i) => first + i);
          for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
            for (const asking of rows) {
              const at = ((start + asking) * queryHeadCount + head) * headSize;
              const query = queries.subarray(at, at + headSize);
              const weights = rows.map((row) => Math.exp(dot(query, key(row))));
              const sum = weights.reduce((a, b) => a + b);
              rows.forEach((row, i) => expected[row] += weights[i] / sum / group);
            }
          }
        }
        for (let row = 0; row < capacity; row++) {
          const score = actual[kvHead * capacity + row];
          if (row >= scored) assert.equal(score, EMPTY);
          // Logits of size 10 or so in f32, and the sum of some hundreds of shares.
          else {assert.ok(
              Math.abs(score - expected[row]) < 5e-5 * (1 + expected[row]),
              `${row}: ${score}, ${expected[row]}`,
            );}
        }
      }
    }
  });
}

/** x^T (X^T X + ridge)^-1 x of each row, by elimination. */
function plainLeverage(rows: number[][]): number[] {
  const width = rows[0].length;
  const mean = rows[0].map((_, s) => rows.reduce((sum, row) => sum + row[s], 0) / rows.length);
  const centred = rows.map((row) => row.map((x, s) => x - mean[s]));
  const products = mean.map((_, a) => mean.map((_, b) => centred.reduce((sum, row) => sum + row[a] * row[b], 0)));
  const ridge = products.reduce((sum, row, a) => sum + row[a], 0) / width / 100;
  products.forEach((row, a) => row[a] += ridge);
  return centred.map((row) => {
    const matrix = products.map((own, a) => [...own, row[a]]);
    for (let a = 0; a < width; a++) {
      for (let b = 0; b < width; b++) {
        if (a === b) continue;
        const factor = matrix[b][a] / matrix[a][a];
        for (let c = a; c <= width; c++) matrix[b][c] -= factor * matrix[a][c];
      }
    }
    return row.reduce((sum, x, a) => sum + x * matrix[a][width] / matrix[a][a], 0);
  });
}

function sketched(keys: number[][], headSize: number): number[][] {
  return keys.map((key) =>
    Array.from(
      { length: sketchWidth(headSize) },
      (_, s) => key.reduce((sum, x, i) => sum + x * sketchWeight(headSize, i, s), 0),
    )
  );
}

Deno.test("sketches keep the lengths of keys about as they are, and short keys altogether", () => {
  const random = seededRandom(5);
  const lengthOf = (x: number[]) => Math.sqrt(dot(x, x));
  const ratios = Array.from({ length: 200 }, () => [...normalValues(random, 128)])
    .map((key) => lengthOf(sketched([key], 128)[0]) / lengthOf(key));
  const mean = ratios.reduce((a, b) => a + b) / 200;
  // Of sums of 48 squares; their spread is a tenth.
  assert.ok(Math.abs(mean - 1) < 0.03 && ratios.every((ratio) => Math.abs(ratio - 1) < 0.45), `${mean}`);
  assert.deepEqual(sketched([[1, 2, 3, 4]], 4), [[1, 2, 3, 4]]);
});

Deno.test("leverageOf() is that of plain elimination, and adds up to the width where there is hardly a ridge", () => {
  const random = seededRandom(8);
  for (const [headSize, count] of [[8, 30], [64, 100], [4, 1]]) {
    const keys = Array.from(
      { length: count },
      () => [...normalValues(random, headSize).map((x, i) => x * (1 + i % 3))],
    );
    const expected = plainLeverage(sketched(keys, headSize));
    const actual = leverageOf(keys.flat(), headSize);
    actual.forEach((score, row) => assert.ok(Math.abs(score - (expected[row] || 0)) < 1e-9, `${headSize}, ${row}`));
    const sum = actual.reduce((a, b) => a + b);
    if (count > 1) assert.ok(sum > 0.85 * sketchWidth(headSize) && sum <= sketchWidth(headSize), `${sum}`);
  }
});

for (const pairing of ["adjacent", "halves"] as const) {
  Deno.test(`leverageScores() turns keys whose pairs are ${pairing} back, and is that of plain elimination`, async () => {
    const gpu = await testGpu();
    const random = seededRandom(13);
    for (
      const [element, kvHeadCount, headSize, start, length, window, lengthen] of [
        ["f32", 1, 8, 0, 40, 1, 1],
        ["f32", 2, 12, 3, 530, 8, 1.4],
        ["f16", 1, 64, 1, 200, 4, 1],
      ] as const
    ) {
      const capacity = start + length + 2;
      const scored = length - window;
      const pairs = headSize / 2;
      const table = new Float32Array(length * headSize);
      const plain = normalValues(random, kvHeadCount * capacity * headSize).map((x, i) => x * (1 + i % 5));
      const rotated = plain.slice();
      const turned = (head: number, row: number) => {
        const first = (head * capacity + start + row) * headSize;
        for (let pair = 0; pair < pairs; pair++) {
          const angle = row * 100 ** (-pair / pairs);
          const [cosine, sine] = [lengthen * Math.cos(angle), lengthen * Math.sin(angle)];
          table.set([cosine, sine], (row * pairs + pair) * 2);
          const [a, b] = (pairing === "adjacent" ? [2 * pair, 2 * pair + 1] : [pair, pair + pairs]).map((i) =>
            first + i
          );
          rotated[a] = plain[a] * cosine - plain[b] * sine;
          rotated[b] = plain[a] * sine + plain[b] * cosine;
        }
      };
      for (let head = 0; head < kvHeadCount; head++) for (let row = 0; row < length; row++) turned(head, row);
      const dispatches = leverageDispatches({ kvHeadCount, headSize, start, length, scored, capacity });
      const keys = kvArray(element, rotated);
      const empty = new Float32Array(kvHeadCount * capacity * sketchWidth(headSize));
      const sketch = sketchKeys(element, headSize, pairing);
      const [, , sketches] = await runKernel(gpu, sketch, dispatches.sketch, [keys, table, empty]);
      const [, data] = await runKernel(gpu, leverageScores(headSize), dispatches.scores, [
        new Float32Array(sketches),
        new Float32Array(kvHeadCount * capacity).fill(EMPTY),
      ]);
      const actual = new Float32Array(data);
      for (let head = 0; head < kvHeadCount; head++) {
        for (let first = 0; first < length; first += LEVERAGE_ROWS) {
          const own = Array.from({ length: Math.min(LEVERAGE_ROWS, length - first) }, (_, i) => {
            const at = (head * capacity + start + first + i) * headSize;
            return [...plain.subarray(at, at + headSize)];
          });
          const expected = plainLeverage(sketched(own, headSize));
          own.forEach((_, i) => {
            const score = actual[head * capacity + first + i];
            if (first + i >= scored) return assert.equal(score, EMPTY);
            // f16 rounds keys to 11 bits.
            const allowed = element === "f16" ? 1e-2 : 1e-3;
            assert.ok(
              Math.abs(score - expected[i]) <= allowed * Math.max(expected[i], 0.02),
              `head ${head}, row ${first + i}: ${score}, expected ${expected[i]}`,
            );
          });
        }
      }
    }
  });
}
