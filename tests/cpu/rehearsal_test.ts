/** @file Scores of a chunk by its own queries, asked again, against sums written out in f64. */
import assert from "node:assert/strict";
import { normalValues, seededRandom } from "../../fixtures/random.ts";
import { Crew } from "../../src/cpu/kernels/crew.ts";
import { rehearsalScratchBytes } from "../../src/cpu/kernels/rehearsal.ts";
import { RehearsalOnCrew } from "../../src/cpu/rehearsal.ts";
import { Onnxruntime } from "../../src/cpu/runtime/onnxruntime.ts";
import type { Rotary } from "../../src/policy/context.ts";
import { allJoined, threadsBeside } from "../support/crew_threads.ts";

const runtime = await Onnxruntime.open(1);

type Pairing = Rotary["pairing"];

/** Radians that a pair is turned by, position by position. */
const frequencyOf = (pair: number, pairs: number) => 100 ** (-pair / pairs);

/** Cosines and sines times a length, `[positions][headSize / 2][2]`. */
function tableOf(positions: number, headSize: number, length: number): Float32Array {
  return Float32Array.from({ length: positions * headSize }, (_, i) => {
    const angle = Math.floor(i / headSize) * frequencyOf(Math.floor(i % headSize / 2), headSize / 2);
    return length * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
  });
}

/** A head turned on by some positions. */
function turned(head: ArrayLike<number>, positions: number, pairing: Pairing): Float64Array {
  const pairs = head.length / 2;
  const result = new Float64Array(head.length);
  for (let pair = 0; pair < pairs; pair++) {
    const [a, b] = pairing === "adjacent" ? [2 * pair, 2 * pair + 1] : [pair, pair + pairs];
    const angle = positions * frequencyOf(pair, pairs);
    result[a] = head[a] * Math.cos(angle) - head[b] * Math.sin(angle);
    result[b] = head[a] * Math.sin(angle) + head[b] * Math.cos(angle);
  }
  return result;
}

interface Shape {
  readonly headSize: number;
  readonly group: number;
  readonly kvHeads: number;
  readonly pairing: Pairing;
  /** What queries were multiplied by when they were rotated the first time. */
  readonly length: number;
  readonly positions: number;
}

/** Logits of a query and the first rows of a chunk. */
function logitsOf(query: ArrayLike<number>, keys: Float32Array, rows: number): number[] {
  const { length } = query;
  return Array.from({ length: rows }, (_, row) => {
    let dot = 0;
    for (let i = 0; i < length; i++) dot += query[i] * keys[row * length + i];
    return dot / Math.sqrt(length);
  });
}

const largest = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b));
const sumOfExponentials = (logits: readonly number[], most: number) =>
  logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);

/** Scores of a KV head of a chunk. @param queries `[row][queryHead][headSize]`; keys of the head, `[row][headSize]` */
function expectedScores(
  queries: Float32Array,
  keys: Float32Array,
  head: number,
  { headSize, group, kvHeads, pairing, positions }: Shape,
): Float64Array {
  const count = keys.length / headSize;
  const place = Math.min(count + 64, positions - 1);
  const scores = new Float64Array(count);
  for (let asking = 0; asking < count; asking++) {
    for (let inGroup = 0; inGroup < group; inGroup++) {
      const at = (asking * kvHeads * group + head * group + inGroup) * headSize;
      const query = queries.subarray(at, at + headSize);
      const before = logitsOf(query, keys, asking + 1);
      const again = logitsOf(turned(query, place - asking, pairing), keys, count);
      const most = largest([...before, ...again]);
      const sum = sumOfExponentials([...before, ...again], most);
      again.forEach((logit, row) => scores[row] = Math.max(scores[row], Math.exp(logit - most) / sum));
    }
  }
  return scores;
}

/** What the queries saw of their chunk, `[row][queryHead][2]`: see tile_attention.ts. */
function sumsBefore(
  queries: Float32Array,
  keysOf: (head: number) => Float32Array,
  { headSize, group, kvHeads }: Shape,
) {
  return Float32Array.from({ length: 2 * queries.length / headSize }, (_, i) => {
    const asked = Math.floor(i / 2);
    const [row, head] = [Math.floor(asked / (kvHeads * group)), Math.floor(asked % (kvHeads * group) / group)];
    const query = queries.subarray(asked * headSize, (asked + 1) * headSize);
    const before = logitsOf(query, keysOf(head), row + 1);
    const most = largest(before);
    return i % 2 === 0 ? most : sumOfExponentials(before, most);
  });
}

const SHAPES: readonly Shape[] = [
  { headSize: 8, group: 1, kvHeads: 1, pairing: "adjacent", length: 1, positions: 2048 },
  { headSize: 32, group: 2, kvHeads: 3, pairing: "adjacent", length: 1.3, positions: 2048 },
  { headSize: 64, group: 3, kvHeads: 2, pairing: "halves", length: 1, positions: 2048 },
  { headSize: 96, group: 1, kvHeads: 2, pairing: "halves", length: 0.7, positions: 600 },
  { headSize: 128, group: 4, kvHeads: 1, pairing: "halves", length: 1.2, positions: 520 },
  // The place behind the chunk has no rotation of its own.
  { headSize: 24, group: 2, kvHeads: 1, pairing: "halves", length: 1, positions: 512 },
  { headSize: 256, group: 1, kvHeads: 1, pairing: "adjacent", length: 1, positions: 2048 },
];

for (const shape of SHAPES) {
  const { headSize, group, kvHeads, pairing, length, positions } = shape;
  Deno.test(`a chunk asked again by ${kvHeads} x ${group} heads of ${headSize}, their pairs ${pairing}, is scored as by exact arithmetic`, async () => {
    const crew = await Crew.start(runtime, threadsBeside(1), rehearsalScratchBytes(headSize));
    await allJoined(crew, 1);
    const random = seededRandom(headSize + group);
    const sizes = { headSize, kvHeadCount: kvHeads, queryHeadCount: kvHeads * group };
    const rehearsal = new RehearsalOnCrew(runtime, sizes, crew, tableOf(positions, headSize, length), pairing);
    for (const count of [512, 1, 7, 33, 64, 130]) {
      // Sharp attention: large logits.
      const queries = normalValues(random, count * kvHeads * group * headSize, 4);
      const rowsBetween = count + 5;
      const keys = runtime.floats(kvHeads * rowsBetween * headSize);
      keys.values.set(normalValues(random, keys.values.length));
      const keysOf = (head: number) => {
        const first = head * rowsBetween * headSize;
        return keys.values.subarray(first, first + count * headSize);
      };
      const expected = Array.from({ length: kvHeads }, (_, head) => expectedScores(queries, keysOf(head), head, shape));
      for (const sums of [null, sumsBefore(queries, keysOf, shape)]) {
        const scores = rehearsal.run(queries, sums, keys.address, rowsBetween * headSize * 4);
        assert.equal(scores.length, kvHeads);
        scores.forEach((own, head) => {
          assert.equal(own.length, count);
          own.forEach((score, row) => {
            const error = Math.abs(score - expected[head][row]);
            // Logits of up to some dozens carry the rounding of f32 into the exponentials.
            assert.ok(error < 5e-5, `${count} rows: row ${row} of head ${head} is off by ${error}`);
          });
        });
      }
      runtime.free(keys);
    }
    crew.close();
  });
}
