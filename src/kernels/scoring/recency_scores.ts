/**
 * @file Scores by position alone: the first `sinks` rows, then the later the better.
 *
 *     s[j] = 2 - j / length    for j < sinks
 *            (j + 1) / length  otherwise
 *
 * in f32, so that rows of prompts of up to 2^22 tokens are told apart. All KV heads get the same.
 */
import type { Kernel } from "../../gpu/gpu.ts";

const THREADS = 256;

/**
 * Bindings: scores f32 `[kvHead][capacity]`.
 * Grid: {@link recencyScoresGrid}, a thread for each row of each head.
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

/**
 * Parameters of {@link recencyScores}.
 *
 * @param length rows of the prompt
 * @param scored rows that get a score, from the first on
 * @param capacity scores from one KV head to the next
 */
export function recencyScoresParams(length: number, scored: number, capacity: number, sinks: number): number[] {
  return [length, scored, capacity, sinks];
}

/** Workgroups of {@link recencyScores}. */
export function recencyScoresGrid(scored: number, kvHeadCount: number): [number, number] {
  return [Math.ceil(scored / THREADS), kvHeadCount];
}
