/**
 * @file Two lists of scores become one: `a + weight * b`, or `a * b`. What is computed is in scores/row_formulas.ts.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";

const THREADS = 256;

/**
 * Bindings: the first scores f32 `[kvHead][capacity]`; the second, f32 `[kvHead][capacity]`, changed in place.
 * Grid: along `x` a thread for each score; `y` = KV heads.
 */
export const combineScores: Kernel = {
  label: "combine-scores",
  bindings: ["read", "write"],
  wgsl: `
struct Params { scored: u32, capacity: u32, is_product: u32, weight: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> firsts: array<f32>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  if (thread.x >= params.scored) { return; }
  let i = thread.y * params.capacity + thread.x;
  scores[i] = select(firsts[i] + params.weight * scores[i], firsts[i] * scores[i], params.is_product != 0u);
}
`,
};

/** The scores that {@link combineScores} combines, and how. */
export interface CombineScoresShape {
  readonly kvHeadCount: number;
  /** Scores of each KV head. */
  readonly scored: number;
  /** Scores from one KV head to the next, in both buffers. */
  readonly capacity: number;
  /** Of the second scores in a sum; `null` multiplies. */
  readonly weight: number | null;
}

/** A dispatch of {@link combineScores}. */
export function combineScoresDispatch({ kvHeadCount, scored, capacity, weight }: CombineScoresShape): Dispatch {
  return {
    params: [scored, capacity, weight === null ? 1 : 0, floatBits(weight ?? 1)],
    grid: [Math.ceil(scored / THREADS), kvHeadCount],
  };
}
