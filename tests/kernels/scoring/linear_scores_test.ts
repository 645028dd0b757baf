import assert from "node:assert/strict";
import {
  linearScores,
  linearScoresDispatch,
  querySums,
  querySumsDispatch,
  querySumsWords,
} from "../../../src/kernels/scoring/linear_scores.ts";
import { linearScores as formula } from "../../../src/scores/row_formulas.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { kvArray, readKv } from "../../../fixtures/kv.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";

for (const pairing of ["adjacent", "halves"] as const) {
  for (const element of ["f16", "f32"] as const) {
    Deno.test(`linearScores() with ${element} keys whose pairs are ${pairing} equals an f64 reference`, async () => {
      const gpu = await testGpu();
      const random = seededRandom(7);
      for (const [kvHeadCount, headSize, start, scored] of [[1, 8, 0, 1], [2, 24, 3, 300], [3, 64, 1, 33]]) {
        const capacity = start + scored + 2;
        const keys = kvArray(element, normalValues(random, kvHeadCount * capacity * headSize));
        const coefficients = normalValues(random, kvHeadCount * headSize * 1.5);
        const scores = new Float32Array(kvHeadCount * capacity).fill(-7);
        const dispatch = linearScoresDispatch({ kvHeadCount, start, scored, capacity });
        const kernel = linearScores(element, headSize, pairing);
        const actual = new Float32Array((await runKernel(gpu, kernel, dispatch, [keys, coefficients, scores]))[2]);
        const stored = readKv(element, keys.buffer);
        for (let head = 0; head < kvHeadCount; head++) {
          const first = (head * capacity + start) * headSize;
          const own = coefficients.subarray(head * headSize * 1.5, (head + 1) * headSize * 1.5);
          const expected = formula(
            stored.slice(first, first + scored * headSize),
            own.subarray(0, headSize),
            own.subarray(headSize),
            pairing,
          );
          for (let row = 0; row < scored; row++) {
            const score = actual[head * capacity + row];
            // As many products of size 1 or so as there are elements.
            assert.ok(
              Math.abs(score - expected[row]) <= headSize * 1e-6,
              `head ${head}, row ${row}: ${score}, expected ${expected[row]}`,
            );
          }
          assert.equal(actual[head * capacity + scored], -7);
        }
      }
    });
  }

  Deno.test(`querySums() turns queries whose pairs are ${pairing} back before it sums them`, async () => {
    const gpu = await testGpu();
    const random = seededRandom(11);
    for (
      const [queryHeadCount, headSize, start, length, lengthen] of [[1, 8, 0, 1, 1], [6, 24, 5, 300, 1.3], [
        2,
        64,
        2,
        128,
        1,
      ]]
    ) {
      const pairs = headSize / 2;
      const plain = normalValues(random, (start + length) * queryHeadCount * headSize);
      const table = new Float32Array(length * headSize);
      const rotated = plain.slice();
      const place = (pair: number) => pairing === "adjacent" ? [2 * pair, 2 * pair + 1] : [pair, pair + pairs];
      for (let row = 0; row < length; row++) {
        for (let pair = 0; pair < pairs; pair++) {
          const angle = row * 100 ** (-pair / pairs);
          const [cosine, sine] = [lengthen * Math.cos(angle), lengthen * Math.sin(angle)];
          table.set([cosine, sine], (row * pairs + pair) * 2);
          for (let head = 0; head < queryHeadCount; head++) {
            const [a, b] = place(pair).map((i) => ((start + row) * queryHeadCount + head) * headSize + i);
            rotated[a] = plain[a] * cosine - plain[b] * sine;
            rotated[b] = plain[a] * sine + plain[b] * cosine;
          }
        }
      }
      const sums = new Float32Array(querySumsWords(queryHeadCount, headSize, length));
      const dispatch = querySumsDispatch({ queryHeadCount, start, length });
      const [, , data] = await runKernel(gpu, querySums(headSize, pairing), dispatch, [rotated, table, sums]);
      const chunks = new Float32Array(data);
      const words = headSize + pairs;
      for (let head = 0; head < queryHeadCount; head++) {
        const actual = (word: number) => {
          let sum = 0;
          for (let at = head * words + word; at < chunks.length; at += queryHeadCount * words) sum += chunks[at];
          return sum;
        };
        const expected = new Float64Array(words);
        for (let row = start; row < start + length; row++) {
          const at = (row * queryHeadCount + head) * headSize;
          for (let i = 0; i < headSize; i++) expected[i] += plain[at + i];
          for (let pair = 0; pair < pairs; pair++) {
            const [a, b] = place(pair);
            expected[headSize + pair] += Math.hypot(plain[at + a], plain[at + b]);
          }
        }
        expected.forEach((sum, word) =>
          assert.ok(
            Math.abs(actual(word) - sum) <= length * 1e-5,
            `head ${head}, word ${word}: ${actual(word)}, expected ${sum}`,
          )
        );
      }
    }
  });
}
