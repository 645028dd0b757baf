/** @file Scores by lot: see scores/row_lots.ts. */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { MIX } from "../../scores/row_lots.ts";

const THREADS = 256;

/**
 * Bindings: scores f32 `[kvHead][capacity]`.
 * Grid: along `x` a thread for each scored row; `y` = KV heads.
 */
export const randomScores: Kernel = {
  label: "random-scores",
  bindings: ["write"],
  wgsl: `
struct Params { scored: u32, capacity: u32, key: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;
${MIX}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  if (thread.x >= params.scored) { return; }
  let lot = mix_bits(mix_bits(params.key ^ thread.y) ^ thread.x);
  scores[thread.y * params.capacity + thread.x] = f32(lot >> 8u) / 16777216.0;
}
`,
};

/** The rows that {@link randomScores} scores. */
export interface RandomScoresShape {
  readonly kvHeadCount: number;
  /** Rows that get a score, from the first on. */
  readonly scored: number;
  /** Scores from one KV head to the next. */
  readonly capacity: number;
  /** What the layer's lots are drawn from. */
  readonly key: number;
}

/** A dispatch of {@link randomScores}. */
export function randomScoresDispatch({ kvHeadCount, scored, capacity, key }: RandomScoresShape): Dispatch {
  return { params: [scored, capacity, key], grid: [Math.ceil(scored / THREADS), kvHeadCount] };
}
