/** @file What a prompt would look up if it came again, against sums written out in f64. */
import assert from "node:assert/strict";
import { rehearsalScores, rehearsalScoresDispatch } from "../../../src/kernels/scoring/rehearsal_scores.ts";
import { turnedQueries, turnedQueriesDispatch } from "../../../src/kernels/scoring/turned_queries.ts";
import { rehearsalChunks, rehearsalPosition } from "../../../src/scores/rehearsal.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { kvArray, readKv } from "../../../fixtures/kv.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";

const EMPTY = -7;

Deno.test("rehearsalChunks() begin at the same rows for every prompt, and score each row once, beside as many as there are", () => {
  assert.deepEqual(rehearsalChunks(1), [{ first: 0, count: 1, scoredFrom: 0 }]);
  assert.deepEqual(rehearsalChunks(512), [{ first: 0, count: 512, scoredFrom: 0 }]);
  assert.deepEqual(rehearsalChunks(1100), [
    { first: 0, count: 512, scoredFrom: 0 },
    { first: 512, count: 512, scoredFrom: 512 },
    { first: 588, count: 512, scoredFrom: 1024 },
  ]);
  assert.deepEqual(rehearsalChunks(1100, 1024), rehearsalChunks(1100).slice(2));
  assert.deepEqual(rehearsalChunks(1024, 1024), []);
  for (let length = 1; length < 3000; length++) {
    let end = 0;
    for (const { first, count, scoredFrom } of rehearsalChunks(length)) {
      assert.equal(scoredFrom, end, `${length}`);
      assert.equal(count, Math.min(512, length));
      assert.ok(first === end || first + count === length);
      end = first + count;
    }
    assert.equal(end, length);
  }
});

Deno.test("rehearsalPosition() is 64 rows behind the chunk, or the last that there is", () => {
  assert.deepEqual(
    [[512, 2048], [10, 75], [10, 74], [10, 20], [10, 10]].map(([count, positions]) =>
      rehearsalPosition(count, positions)
    ),
    [576, 74, 73, 19, 9],
  );
});

/** A head at a position, `lengthen` times as long as before. */
function rotated(
  head: ArrayLike<number>,
  position: number,
  { pairing, lengthen = 1 }: { pairing: "adjacent" | "halves"; lengthen?: number },
): Float64Array {
  const pairs = head.length / 2;
  const result = new Float64Array(head.length);
  for (let pair = 0; pair < pairs; pair++) {
    const [a, b] = pairing === "adjacent" ? [2 * pair, 2 * pair + 1] : [pair, pair + pairs];
    const angle = angleOf(position, pair, pairs);
    result[a] = lengthen * (head[a] * Math.cos(angle) - head[b] * Math.sin(angle));
    result[b] = lengthen * (head[a] * Math.sin(angle) + head[b] * Math.cos(angle));
  }
  return result;
}

const angleOf = (position: number, pair: number, pairs: number) => position * 100 ** (-pair / pairs);

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

for (const pairing of ["adjacent", "halves"] as const) {
  Deno.test(`rehearsalScores() asks queries whose pairs are ${pairing} again behind their chunk`, async () => {
    const gpu = await testGpu();
    const random = seededRandom(21);
    for (
      const [element, kvHeadCount, group, headSize, start, length, window, positions, lengthen, known] of [
        ["f32", 1, 1, 8, 0, 2, 1, 128, 1, 0],
        ["f32", 2, 3, 16, 5, 290, 8, 512, 1.3, 0],
        ["f32", 1, 1, 8, 2, 600, 8, 700, 1, 0],
        ["f32", 2, 1, 8, 2, 600, 8, 700, 1, 512],
        ["f32", 1, 1, 8, 2, 600, 90, 700, 1, 512],
        ["f16", 1, 2, 64, 3, 257, 4, 512, 1, 0],
        ["f16", 2, 2, 128, 3, 67, 4, 512, 1, 0],
        // The place behind the chunk has no rotation of its own.
        ["f32", 1, 2, 24, 1, 60, 59, 60, 1, 0],
      ] as const
    ) {
      const capacity = start + length + 3;
      const scored = length - window;
      const queryHeadCount = kvHeadCount * group;
      const pairs = headSize / 2;
      const table = Float32Array.from({ length: positions * headSize }, (_, i) => {
        const angle = angleOf(Math.floor(i / headSize), Math.floor(i % headSize / 2), pairs);
        return lengthen * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
      });
      const plain = normalValues(random, capacity * queryHeadCount * headSize, 1.5);
      const queries = plain.slice();
      const queryPlace = (row: number, head: number) => ((start + row) * queryHeadCount + head) * headSize;
      const plainQuery = (row: number, head: number) => {
        const place = queryPlace(row, head);
        return plain.subarray(place, place + headSize);
      };
      for (let row = 0; row < length; row++) {
        for (let head = 0; head < queryHeadCount; head++) {
          queries.set(rotated(plainQuery(row, head), row, { pairing, lengthen }), queryPlace(row, head));
        }
      }
      const keys = kvArray(element, normalValues(random, kvHeadCount * capacity * headSize));
      const chunks = Math.ceil(length / 512) - known / 512;
      const shape = { queryHeadCount, headSize, start, length, scored, capacity, chunk: known / 512, chunks };
      const room = new Float32Array(chunks * 512 * queryHeadCount * headSize);
      const turn = turnedQueries(headSize, pairing);
      const [, , turned] = await runKernel(gpu, turn, turnedQueriesDispatch(shape), [queries, table, room]);
      const scores = Float32Array.from({ length: kvHeadCount * capacity }, (_, i) => {
        const row = i % capacity;
        return row < known || row >= scored ? EMPTY : 0;
      });
      const kernel = rehearsalScores({ element, queryHeadCount, kvHeadCount, headSize });
      const inputs = [queries, new Float32Array(turned), keys, scores];
      const [, , , data] = await runKernel(gpu, kernel, rehearsalScoresDispatch(shape), inputs);
      const actual = new Float32Array(data);
      const stored = readKv(element, keys.buffer);
      for (let kvHead = 0; kvHead < kvHeadCount; kvHead++) {
        const key = (row: number) => {
          const at = (kvHead * capacity + start + row) * headSize;
          return stored.subarray(at, at + headSize);
        };
        const expected = new Float64Array(length);
        for (const { first, count, scoredFrom } of rehearsalChunks(length, known)) {
          const rows = Array.from({ length: count }, (_, i) => first + i);
          const place = first + rehearsalPosition(rows.length, positions);
          for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
            for (const asking of rows) {
              const weight = (position: number) => {
                const query = rotated(plainQuery(asking, head), position, { pairing, lengthen });
                return (row: number) => Math.exp(dot(query, key(row)) / Math.sqrt(headSize));
              };
              const again = rows.map(weight(place));
              const before = rows.filter((row) => row <= asking).map(weight(asking));
              const sum = [...again, ...before].reduce((a, b) => a + b);
              rows.forEach((row, i) => {
                if (row >= scoredFrom) expected[row] = Math.max(expected[row], again[i] / sum);
              });
            }
          }
        }
        for (let row = 0; row < capacity; row++) {
          const score = actual[kvHead * capacity + row];
          if (row < known || row >= scored) assert.equal(score, EMPTY);
          // Logits of size 10 or so in f32.
          else assert.ok(Math.abs(score - expected[row]) < 5e-5, `${length}, ${row}: ${score}, ${expected[row]}`);
        }
      }
    }
  });
}
