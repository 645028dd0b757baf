import assert from "node:assert/strict";
import { Recorder } from "../../../src/gpu/recorder.ts";
import {
  keyDifferenceScores,
  keyDifferenceScoresDispatches,
  keyDirections,
  keyDirectionsBytes,
  keyNormScores,
  keyNormScoresDispatch,
  type KeyScoresShape,
} from "../../../src/kernels/scoring/key_scores.ts";
import type { KvElement } from "../../../src/kernels/kv_element.ts";
import { readBuffer, runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { type KvArray, kvArray } from "../../../fixtures/kv.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";
import { referenceKeyDifferences, referenceKeyNorms } from "../../support/scores.ts";

interface Case {
  readonly element: KvElement;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly start: number;
  readonly length: number;
  readonly scored: number;
}

const cases: Case[] = [
  { element: "f32", kvHeads: 1, headSize: 8, start: 0, length: 2, scored: 1 },
  { element: "f16", kvHeads: 3, headSize: 24, start: 5, length: 257, scored: 249 },
  { element: "f32", kvHeads: 2, headSize: 64, start: 0, length: 700, scored: 692 },
  { element: "f16", kvHeads: 1, headSize: 256, start: 31, length: 33, scored: 32 },
  { element: "f16", kvHeads: 2, headSize: 128, start: 1, length: 512, scored: 256 },
];

/** Random keys with a direction in common, NaN outside the prompt. */
function randomKeys({ element, kvHeads, headSize, start, length }: Case, seed: number) {
  const random = seededRandom(seed);
  const capacity = start + length + 3;
  const keys = kvArray(element, new Float32Array(kvHeads * capacity * headSize).fill(NaN));
  for (let head = 0; head < kvHeads; head++) {
    const common = normalValues(random, headSize, 2);
    const rows = normalValues(random, length * headSize).map((x, i) => x + common[i % headSize]);
    keys.set(rows, (head * capacity + start) * headSize);
  }
  return { capacity, keys };
}

function assertScores(
  { kvHeads, scored }: Case,
  capacity: number,
  actual: Float32Array,
  expected: readonly ArrayLike<number>[],
  tolerance: (score: number) => number,
) {
  for (let head = 0; head < kvHeads; head++) {
    for (let j = 0; j < capacity; j++) {
      const score = actual[head * capacity + j];
      if (j >= scored) assert.equal(score, -1, `row ${j} of head ${head} is not to be scored`);
      else {assert.ok(
          Math.abs(score - expected[head][j]) <= tolerance(expected[head][j]),
          `head ${head}, row ${j}: ${score}`,
        );}
    }
  }
}

for (const [index, spec] of cases.entries()) {
  const { element, kvHeads, headSize, start, length, scored } = spec;
  const name = `${element}, ${kvHeads} heads of ${headSize}, ${scored} of ${length} rows`;

  Deno.test(`keyNormScores() equals 1 / (1 + |key|) in f64: ${name}`, async () => {
    const gpu = await testGpu();
    const { capacity, keys } = randomKeys(spec, index + 1);
    const [, data] = await runKernel(
      gpu,
      keyNormScores(element, headSize),
      keyNormScoresDispatch({ kvHeadCount: kvHeads, start, length, scored, capacity }),
      [keys, new Float32Array(kvHeads * capacity).fill(-1)],
    );
    const expected = referenceKeyNorms({ kvHeadCount: kvHeads, headSize, capacity }, spec, keys);
    // A sum of squares has at most headSize roundings, all of positive numbers.
    assertScores(spec, capacity, new Float32Array(data), expected, (score) => (headSize + 8) * 6e-8 * score);
  });

  Deno.test(`keyDifferenceScores() equals 1 - cos(key, mean direction) in f64: ${name}`, async () => {
    const { capacity, keys } = randomKeys(spec, index + 1);
    const actual = await runKeyDifference(spec, { kvHeadCount: kvHeads, start, length, scored, capacity }, keys);
    const expected = referenceKeyDifferences({ kvHeadCount: kvHeads, headSize, capacity }, spec, keys);
    // Dot products of up to headSize terms and sums of up to 256 unit keys at a time: errors are absolute, cosines at most 1.
    assertScores(spec, capacity, actual, expected, () => (headSize + 64) * 1e-7);
  });
}

async function runKeyDifference(
  { element, kvHeads, headSize }: Case,
  shape: KeyScoresShape,
  keys: KvArray,
): Promise<Float32Array> {
  const gpu = await testGpu();
  const buffers = [
    gpu.upload("keys", keys),
    gpu.createBuffer("directions", keyDirectionsBytes(kvHeads, headSize, shape.capacity)),
    gpu.upload("scores", new Float32Array(kvHeads * shape.capacity).fill(-1)),
  ];
  const dispatches = keyDifferenceScoresDispatches(shape);
  const recorder = new Recorder(gpu);
  gpu.device.pushErrorScope("validation");
  const directions = gpu.binding(keyDirections(element, headSize), buffers.slice(0, 2));
  recorder.dispatch(directions, dispatches.directions);
  const scores = gpu.binding(keyDifferenceScores(element, headSize), buffers);
  recorder.dispatch(scores, dispatches.scores);
  recorder.submit();
  assert.equal(await gpu.device.popErrorScope(), null);
  const result = new Float32Array(await readBuffer(gpu, buffers[2]));
  for (const buffer of buffers) gpu.destroyBuffer(buffer);
  return result.subarray(0, kvHeads * shape.capacity);
}

Deno.test("keyDifferenceScores() gives keys of length 0, all or one of them, a finite score", async () => {
  const spec: Case = { element: "f32", kvHeads: 1, headSize: 8, start: 0, length: 4, scored: 4 };
  const shape = { kvHeadCount: 1, start: 0, length: 4, scored: 4, capacity: 4 };
  assert.deepEqual([...await runKeyDifference(spec, shape, new Float32Array(32))], [1, 1, 1, 1]);
  const oneZero = new Float32Array(32).fill(3, 8);
  const [zero, ...others] = await runKeyDifference(spec, shape, oneZero);
  assert.equal(zero, 1);
  for (const score of others) assert.ok(score >= 0 && score < 1e-6);
});
