/**
 * @file 1-D pooling of scores along the sequence (stride 1, same length).
 *
 * Average pooling counts the zero padding at the ends: it always divides by the pooling's width. Maximum pooling ignores
 * the padding.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";

const THREADS = 256;

/**
 * Bindings: scores f32 `[kvHead][capacity]`, pooled f32 `[kvHead][capacity]`.
 * Grid: along `x` a thread for each score; `y` = KV heads.
 */
export const poolScores: Kernel = {
  label: "pool-scores",
  bindings: ["read", "write"],
  wgsl: `
struct Params { length: u32, capacity: u32, width: u32, is_maximum: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read_write> pooled: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let j = thread.x;
  if (j >= params.length) { return; }
  let row = thread.y * params.capacity;
  let half_width = params.width / 2u;
  // Scores are never negative, so 0 is neutral for both poolings.
  var sum: f32 = 0.0;
  var maximum: f32 = 0.0;
  for (var i: u32 = max(j, half_width) - half_width; i < min(j + half_width + 1u, params.length); i++) {
    let score = scores[row + i];
    sum += score;
    maximum = max(maximum, score);
  }
  pooled[row + j] = select(sum / f32(params.width), maximum, params.is_maximum != 0u);
}
`,
};

/** The scores that {@link poolScores} pools, and how. */
export interface PoolScoresShape {
  readonly kvHeadCount: number;
  /** Scores of each KV head. */
  readonly length: number;
  /** Scores from one KV head to the next, in both buffers. */
  readonly capacity: number;
  /** Scores that are pooled to one; odd. */
  readonly width: number;
  readonly by: "average" | "maximum";
}

/** A dispatch of {@link poolScores}. */
export function poolScoresDispatch({ kvHeadCount, length, capacity, width, by }: PoolScoresShape): Dispatch {
  return {
    params: [length, capacity, width, by === "maximum" ? 1 : 0],
    grid: [Math.ceil(length / THREADS), kvHeadCount],
  };
}
