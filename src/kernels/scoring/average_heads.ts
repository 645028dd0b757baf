/** @file Makes all KV heads share the mean of their scores, so that all of them keep the same rows. */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";

const THREADS = 256;

/**
 * Bindings: scores f32 `[kvHead][capacity]`, changed in place.
 * Grid: a thread for each row.
 */
export const averageHeads: Kernel = {
  label: "average-heads",
  bindings: ["write"],
  wgsl: `
struct Params { scored: u32, capacity: u32, kv_heads: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let j = thread.x;
  if (j >= params.scored) { return; }
  var sum: f32 = 0.0;
  for (var head: u32 = 0u; head < params.kv_heads; head++) { sum += scores[head * params.capacity + j]; }
  let mean = sum / f32(params.kv_heads);
  for (var head: u32 = 0u; head < params.kv_heads; head++) { scores[head * params.capacity + j] = mean; }
}
`,
};

/** The scores that {@link averageHeads} averages. */
export interface AverageHeadsShape {
  readonly kvHeadCount: number;
  /** Scores of each KV head. */
  readonly scored: number;
  /** Scores from one KV head to the next. */
  readonly capacity: number;
}

/** A dispatch of {@link averageHeads}. */
export function averageHeadsDispatch({ kvHeadCount, scored, capacity }: AverageHeadsShape): Dispatch {
  return { params: [scored, capacity, kvHeadCount], grid: [Math.ceil(scored / THREADS)] };
}
