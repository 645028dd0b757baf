/**
 * @file Rows with very large values rank before all others:
 *
 *     s[kvHead][j] = PROTECTED_SCORE  where |v_j| > times * mean over i < scored of |v_i|
 *
 * with |v| the mean of the absolute values of a row's elements (value_norm.ts), of one KV head.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";
import { PROTECTED_SCORE } from "../../scores/limits.ts";
import type { KvElement } from "../kv_element.ts";
import { valueNormFunction } from "./value_norm.ts";

const THREADS = 256;

/**
 * Bindings: values KV elements `[kvHead][capacity][headSize]`; scores f32 `[kvHead][capacity]`, changed in place.
 * Grid: a workgroup for each KV head.
 */
export function loudValues(element: KvElement, headSize: number): Kernel {
  return {
    label: `loud-values-${element}-${headSize}`,
    bindings: ["read", "write"],
    wgsl: `
struct Params { start: u32, scored: u32, capacity: u32, times: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;
${valueNormFunction(element, headSize)}
var<workgroup> sums: array<f32, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let kv_head = group.x;
  var own: f32 = 0.0;
  for (var j: u32 = thread; j < params.scored; j += ${THREADS}u) { own += value_norm(kv_head, j); }
  sums[thread] = own;
  workgroupBarrier();
  for (var distance: u32 = ${THREADS / 2}u; distance > 0u; distance >>= 1u) {
    if (thread < distance) { sums[thread] += sums[thread + distance]; }
    workgroupBarrier();
  }
  let most = params.times * sums[0] / f32(params.scored);
  for (var j: u32 = thread; j < params.scored; j += ${THREADS}u) {
    if (value_norm(kv_head, j) > most) { scores[kv_head * params.capacity + j] = ${PROTECTED_SCORE.toExponential()}; }
  }
}
`,
  };
}

/** The rows that {@link loudValues} looks at. */
export interface LoudValuesShape {
  readonly kvHeadCount: number;
  /** First row in the values. */
  readonly start: number;
  /** Scores of each KV head. */
  readonly scored: number;
  /** Rows from one KV head to the next, in values and scores. */
  readonly capacity: number;
  /** How many times the mean norm a norm must be more than. */
  readonly times: number;
}

/** A dispatch of {@link loudValues}. */
export function loudValuesDispatch({ kvHeadCount, start, scored, capacity, times }: LoudValuesShape): Dispatch {
  return { params: [start, scored, capacity, floatBits(times)], grid: [kvHeadCount] };
}
