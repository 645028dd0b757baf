/**
 * @file Scores by position alone: the first `sinks` rows, then the later the better.
 *
 *     s[j] = 2 - j / length    for j < sinks
 *            (j + 1) / length  otherwise
 *
 * in f32, so that rows of prompts of up to 2^22 tokens are told apart. All KV heads get the same.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";

const THREADS = 256;

/**
 * Bindings: scores f32 `[kvHead][capacity]`.
 * Grid: along `x` a thread for each scored row; `y` = KV heads.
 */
export const recencyScores: Kernel = {
  label: "recency-scores",
  bindings: ["write"],
  wgsl: `
struct Params { length: u32, scored: u32, capacity: u32, sinks: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let j = thread.x;
  if (j >= params.scored) { return; }
  let late = f32(j + 1u) / f32(params.length);
  let sink = 2.0 - f32(j) / f32(params.length);
  scores[thread.y * params.capacity + j] = select(late, sink, j < params.sinks);
}
`,
};

/** The rows that {@link recencyScores} scores. */
export interface RecencyScoresShape {
  readonly kvHeadCount: number;
  /** Rows of the prompt. */
  readonly length: number;
  /** Rows that get a score, from the first on. */
  readonly scored: number;
  /** Scores from one KV head to the next. */
  readonly capacity: number;
  /** First rows, which are better than all others. */
  readonly sinks: number;
}

/** A dispatch of {@link recencyScores}. */
export function recencyScoresDispatch(
  { kvHeadCount, length, scored, capacity, sinks }: RecencyScoresShape,
): Dispatch {
  return { params: [length, scored, capacity, sinks], grid: [Math.ceil(scored / THREADS), kvHeadCount] };
}
