import assert from "node:assert/strict";
import type { Kernel } from "../../../src/gpu/gpu.ts";
import type { Dispatch } from "../../../src/gpu/recorder.ts";
import { boundScores, boundScoresDispatch } from "../../../src/kernels/scoring/bound_scores.ts";
import { combineScores, combineScoresDispatch } from "../../../src/kernels/scoring/combine_scores.ts";
import { loudValues, loudValuesDispatch } from "../../../src/kernels/scoring/loud_values.ts";
import { normaliseScores, normaliseScoresDispatch } from "../../../src/kernels/scoring/normalise_scores.ts";
import { PROTECTED_SCORE } from "../../../src/scores/limits.ts";
import { protectRows, protectRowsDispatches } from "../../../src/kernels/scoring/protect_rows.ts";
import {
  aboveThreshold,
  clamped,
  flooredAtMean,
  madePositive,
  product,
  shares,
  softmax,
  weightedSum,
  zScores,
} from "../../../src/scores/row_formulas.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { kvArray, readKv } from "../../../fixtures/kv.ts";
import { normalValues, randomInteger, seededRandom } from "../../../fixtures/random.ts";

/** KV heads and rows, odd and even, fewer and more than a workgroup has threads. */
const SHAPES = [[1, 1], [2, 3], [3, 300], [2, 256], [1, 2049]] as const;
const PADDING = 5;

type Formula = (...lists: Float32Array[]) => Float64Array;

/** Runs a kernel that changes the last of some lists of scores, head by head beside a formula. */
async function check(
  kernel: Kernel,
  dispatchOf: (shape: { kvHeadCount: number; scored: number; capacity: number }) => Dispatch,
  formula: Formula,
  { lists = 1, tolerance, scale = 3 }: { lists?: number; tolerance: number; scale?: number },
) {
  const gpu = await testGpu();
  const random = seededRandom(kernel.label.length);
  for (const [kvHeadCount, scored] of SHAPES) {
    const capacity = scored + PADDING;
    const inputs = Array.from(
      { length: lists },
      () => normalValues(random, kvHeadCount * capacity).map((x) => scale * x),
    );
    const results = await runKernel(gpu, kernel, dispatchOf({ kvHeadCount, scored, capacity }), inputs);
    const actual = new Float32Array(results.at(-1)!);
    for (let head = 0; head < kvHeadCount; head++) {
      const of = (list: Float32Array) => list.subarray(head * capacity, head * capacity + scored);
      const expected = formula(...inputs.map(of));
      of(actual).forEach((score, row) => {
        const allowed = tolerance * Math.max(1, Math.abs(expected[row]));
        assert.ok(
          Math.abs(score - expected[row]) <= allowed,
          `${kvHeadCount}x${scored}, head ${head}, row ${row}: ${score}, expected ${expected[row]}`,
        );
      });
      const behind = (list: Float32Array) => [...list.subarray(head * capacity + scored, (head + 1) * capacity)];
      assert.deepEqual(behind(actual), behind(inputs.at(-1)!));
    }
  }
}

// One rounding of each operation; f32 has 24 bits.
const EXACT = 2 ** -23;
// Sums of 2,049 numbers of size 3 or so, in 256 parts: about as many roundings, on average cancelling.
const SUMMED = 1e-5;

Deno.test("combineScores() adds the second list, weighted, or multiplies by it", async () => {
  for (const weight of [1, -0.25]) {
    await check(
      combineScores,
      (shape) => combineScoresDispatch({ ...shape, weight }),
      (a, b) => weightedSum(a, b, weight),
      {
        lists: 2,
        tolerance: 4 * EXACT,
        scale: 1,
      },
    );
  }
  await check(combineScores, (shape) => combineScoresDispatch({ ...shape, weight: null }), product, {
    lists: 2,
    tolerance: EXACT,
  });
});

for (
  const [by, formula] of [
    ["z-score", zScores],
    ["softmax", softmax],
    ["floor at mean", flooredAtMean],
    ["sum", (scores: Float32Array) => shares(scores.map(Math.abs))],
  ] as const
) {
  Deno.test(`normaliseScores() by ${by} looks at each KV head by itself`, async () => {
    if (by !== "sum") {
      await check(normaliseScores, (shape) => normaliseScoresDispatch({ ...shape, by }), formula as Formula, {
        tolerance: SUMMED,
      });
      return;
    }
    // Only of scores that are not negative.
    const gpu = await testGpu();
    const scores = normalValues(seededRandom(3), 3 * 300).map(Math.abs);
    const shape = { kvHeadCount: 3, scored: 300, capacity: 300, by };
    const [data] = await runKernel(gpu, normaliseScores, normaliseScoresDispatch(shape), [scores]);
    for (let head = 0; head < 3; head++) {
      const expected = shares(scores.subarray(head * 300, (head + 1) * 300));
      new Float32Array(data, head * 1200, 300).forEach((share, row) =>
        assert.ok(Math.abs(share - expected[row]) < 1e-8)
      );
    }
  });
}

Deno.test("normaliseScores() of scores that are all the same is 0 as a z-score, and of nothing stays nothing", async () => {
  const gpu = await testGpu();
  const run = async (by: "z-score" | "sum" | "softmax", value: number) => {
    const dispatch = normaliseScoresDispatch({ kvHeadCount: 1, scored: 7, capacity: 7, by });
    return [
      ...new Float32Array((await runKernel(gpu, normaliseScores, dispatch, [new Float32Array(7).fill(value)]))[0]),
    ];
  };
  assert.deepEqual(await run("z-score", 0.25), Array(7).fill(0));
  assert.deepEqual(await run("sum", 0), Array(7).fill(0));
  assert.deepEqual([...zScores([0.25, 0.25]), ...shares([0, 0])], [0, 0, 0, 0]);
  for (const share of await run("softmax", -50)) assert.ok(Math.abs(share - 1 / 7) < 1e-7);
});

Deno.test("boundScores() clamps, drops what is below a threshold, and makes scores positive without changing their order", async () => {
  const bounds = { least: -0.5, most: 2 };
  const clamp = (scores: Float32Array) => clamped(scores, bounds.least, bounds.most);
  await check(boundScores, (shape) => boundScoresDispatch({ ...shape, by: "clamp", ...bounds }), clamp, {
    tolerance: 0,
  });
  const above = (scores: Float32Array) => aboveThreshold(scores, 0.75);
  await check(boundScores, (shape) => boundScoresDispatch({ ...shape, by: "threshold", least: 0.75 }), above, {
    tolerance: 0,
  });
  await check(boundScores, (shape) => boundScoresDispatch({ ...shape, by: "positive" }), madePositive, {
    tolerance: 4 * EXACT,
    scale: 100,
  });
  const positive = madePositive([-1e6, -3, 0, 1e-3, 4, 1e6]);
  assert.ok(positive.every((score, i) => score > (positive[i - 1] ?? 0)));
  assert.equal(positive[2], 1);
});

Deno.test("loudValues() lifts the rows whose values are larger than so many times the mean of their head", async () => {
  const gpu = await testGpu();
  const random = seededRandom(9);
  for (const element of ["f16", "f32"] as const) {
    for (
      const [kvHeadCount, headSize, start, scored, capacity, times] of [[3, 24, 5, 301, 320, 2.5], [1, 8, 0, 1, 1, 4]]
    ) {
      const loud = (row: number, head: number) => (row * 7 + head) % 40 === 0;
      const values = kvArray(
        element,
        Array.from({ length: kvHeadCount * capacity * headSize }, (_, i) => {
          const row = Math.floor(i / headSize) % capacity;
          const size = loud(row, Math.floor(i / headSize / capacity)) ? 40 : randomInteger(random, 1, 4);
          return i % 2 === 0 ? size : -size;
        }),
      );
      const scores = Float32Array.from({ length: kvHeadCount * capacity }, () => random());
      const dispatch = loudValuesDispatch({ kvHeadCount, start, scored, capacity, times });
      const [, data] = await runKernel(gpu, loudValues(element, headSize), dispatch, [values, scores]);
      const read = readKv(element, values.buffer);
      const expected = scores.slice();
      for (let head = 0; head < kvHeadCount; head++) {
        const norms = Array.from({ length: scored }, (_, row) => {
          const at = (head * capacity + start + row) * headSize;
          return Array.from(read.subarray(at, at + headSize)).reduce((sum, x) => sum + Math.abs(x), 0) / headSize;
        });
        const mean = norms.reduce((a, b) => a + b) / scored;
        norms.forEach((norm, row) => {
          if (norm > times * mean) expected[head * capacity + row] = PROTECTED_SCORE;
        });
      }
      assert.deepEqual(new Float32Array(data), expected);
      assert.equal(expected.includes(PROTECTED_SCORE), scored > 1);
    }
  }
});

Deno.test("protectRows() lifts the rows of all ranges above every other, however many there are", async () => {
  const gpu = await testGpu();
  const [kvHeadCount, scored, capacity] = [2, 300, 310];
  const scores = normalValues(seededRandom(1), kvHeadCount * capacity).map(Math.abs);
  const many = Array.from({ length: 61 }, (_, i) => ({ start: 4 * i, end: 4 * i + 1 }));
  for (const ranges of [[], [{ start: 290, end: 400 }], [{ start: 3, end: 3 }, { start: 0, end: 2 }], many]) {
    let current = scores;
    for (const dispatch of protectRowsDispatches({ kvHeadCount, scored, capacity, ranges })) {
      current = new Float32Array((await runKernel(gpu, protectRows, dispatch, [current]))[0]);
    }
    current.forEach((score, i) => {
      const row = i % capacity;
      const isProtected = row < scored && ranges.some(({ start, end }) => start <= row && row < end);
      assert.equal(score, isProtected ? PROTECTED_SCORE : scores[i], `row ${row}`);
    });
  }
});
