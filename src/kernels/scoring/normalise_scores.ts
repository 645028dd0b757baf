/**
 * @file Scores of each KV head over what all of its rows come to: the z-score, the share of the sum, the softmax, and the mean as
 * a floor. What is computed is in scores/row_formulas.ts.
 *
 * One workgroup per KV head, in up to three passes over its scores: sum and maximum, the sum of squares or exponentials, the result.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";

const THREADS = 256;

/** What the kernel can do, by the number that it knows it by. */
const WAYS = { "z-score": 0, sum: 1, softmax: 2, "floor at mean": 3 } as const;

/** Adds up, or takes the maximum of, a number of each thread; every thread gets the result. */
const reduction = (name: string, combine: string) => `
fn ${name}(thread: u32, value: f32) -> f32 {
  partials[thread] = value;
  workgroupBarrier();
  for (var distance: u32 = ${THREADS / 2}u; distance > 0u; distance >>= 1u) {
    if (thread < distance) {
      let a = partials[thread];
      let b = partials[thread + distance];
      partials[thread] = ${combine};
    }
    workgroupBarrier();
  }
  let result = partials[0];
  workgroupBarrier();
  return result;
}
`;

/**
 * Bindings: scores f32 `[kvHead][capacity]`, changed in place.
 * Grid: KV heads.
 */
export const normaliseScores: Kernel = {
  label: "normalise-scores",
  bindings: ["write"],
  wgsl: `
struct Params { scored: u32, capacity: u32, way: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;

var<workgroup> partials: array<f32, ${THREADS}>;
${reduction("sum_of", "a + b")}
${reduction("maximum_of", "max(a, b)")}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = group.x * params.capacity;
  let count = f32(params.scored);
  var own_sum: f32 = 0.0;
  // Below every score.
  var own_maximum: f32 = -3.0e38;
  for (var j: u32 = thread; j < params.scored; j += ${THREADS}u) {
    own_sum += scores[head + j];
    own_maximum = max(own_maximum, scores[head + j]);
  }
  let sum = sum_of(thread, own_sum);
  let maximum = maximum_of(thread, own_maximum);
  let mean = sum / count;
  var own_spread: f32 = 0.0;
  for (var j: u32 = thread; j < params.scored; j += ${THREADS}u) {
    let score = scores[head + j];
    own_spread += select((score - mean) * (score - mean), exp(score - maximum), params.way == ${WAYS.softmax}u);
  }
  let spread = sum_of(thread, own_spread);
  for (var j: u32 = thread; j < params.scored; j += ${THREADS}u) {
    let score = scores[head + j];
    var result: f32 = 0.0;
    switch (params.way) {
      case ${WAYS["z-score"]}u: { if (spread > 0.0) { result = (score - mean) * inverseSqrt(spread / count); } }
      case ${WAYS.sum}u: { if (sum > 0.0) { result = score / sum; } }
      case ${WAYS.softmax}u: { result = exp(score - maximum) / spread; }
      default: { result = max(score, mean); }
    }
    scores[head + j] = result;
  }
}
`,
};

/** The scores that {@link normaliseScores} normalises, and how. */
export interface NormaliseScoresShape {
  readonly kvHeadCount: number;
  /** Scores of each KV head. */
  readonly scored: number;
  /** Scores from one KV head to the next. */
  readonly capacity: number;
  readonly by: keyof typeof WAYS;
}

/** A dispatch of {@link normaliseScores}. */
export function normaliseScoresDispatch({ kvHeadCount, scored, capacity, by }: NormaliseScoresShape): Dispatch {
  return { params: [scored, capacity, WAYS[by]], grid: [kvHeadCount] };
}
