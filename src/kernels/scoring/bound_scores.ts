/**
 * @file Scores, each by itself: within bounds, above a threshold, made positive. What is computed is in scores/row_formulas.ts.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";

const THREADS = 256;

/** What the kernel can do, by the number that it knows it by. */
const WAYS = { clamp: 0, threshold: 1, positive: 2 } as const;

/**
 * Bindings: scores f32 `[kvHead][capacity]`, changed in place.
 * Grid: along `x` a thread for each score; `y` = KV heads.
 */
export const boundScores: Kernel = {
  label: "bound-scores",
  bindings: ["write"],
  wgsl: `
struct Params { scored: u32, capacity: u32, way: u32, least: f32, most: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  if (thread.x >= params.scored) { return; }
  let i = thread.y * params.capacity + thread.x;
  let score = scores[i];
  var result: f32 = 0.0;
  switch (params.way) {
    case ${WAYS.clamp}u: { result = min(max(score, params.least), params.most); }
    case ${WAYS.threshold}u: { result = select(0.0, score, score >= params.least); }
    default: {
      let root = sqrt(score * score + 4.0);
      // The same twice: where the score is negative, the difference would lose its digits.
      if (score >= 0.0) { result = 0.5 * (score + root); } else { result = 2.0 / (root - score); }
    }
  }
  scores[i] = result;
}
`,
};

/** The scores that {@link boundScores} bounds, and how. */
export interface BoundScoresShape {
  readonly kvHeadCount: number;
  /** Scores of each KV head. */
  readonly scored: number;
  /** Scores from one KV head to the next. */
  readonly capacity: number;
  readonly by: keyof typeof WAYS;
  /** Of `clamp` and `threshold`. */
  readonly least?: number;
  /** Of `clamp`. */
  readonly most?: number;
}

/** A dispatch of {@link boundScores}. */
export function boundScoresDispatch(
  { kvHeadCount, scored, capacity, by, least = 0, most = 0 }: BoundScoresShape,
): Dispatch {
  return {
    params: [scored, capacity, WAYS[by], floatBits(least), floatBits(most)],
    grid: [Math.ceil(scored / THREADS), kvHeadCount],
  };
}
