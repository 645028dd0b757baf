/** @file Makes all KV heads share the mean of their scores, so that all of them keep the same rows. */
import type { Kernel } from "../../gpu/gpu.ts";

const THREADS = 256;

/**
 * Bindings: scores f32 `[kvHead][capacity]`, changed in place.
 * Grid: {@link averageHeadsWorkgroups}, a thread for each row.
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

/**
 * Parameters of {@link averageHeads}.
 *
 * @param scored scores of each KV head
 * @param capacity scores from one KV head to the next
 */
export function averageHeadsParams(scored: number, capacity: number, kvHeadCount: number): number[] {
  return [scored, capacity, kvHeadCount];
}

/** Workgroups that average `scored` scores. */
export function averageHeadsWorkgroups(scored: number): number {
  return Math.ceil(scored / THREADS);
}
