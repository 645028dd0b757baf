/**
 * @file Weighs scores by the size of values: attention to a row whose value is small moves the output little.
 *
 *     row     s[kvHead][j] *= |v_j|
 *     head    s[kvHead][j] *= max over i < scored of |v_i|
 *     share   s[kvHead][j] *= |v_j| / sum over all KV heads of |v_j|, and 0 where all are
 *
 * with |v| the mean of the absolute values of a row's elements (value_norm.ts). `head` is what LAVa does (arXiv 2509.09754, its equation of the score): it makes
 * heads comparable and leaves the order within a head alone. `share` is how DefensiveKV compares heads (arXiv 2510.13334).
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import type { KvElement } from "../kv_element.ts";
import { valueNormFunction } from "./value_norm.ts";

const THREADS = 256;

const norm = (element: KvElement, headSize: number) => `
struct Params { start: u32, scored: u32, capacity: u32, kv_heads: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${valueNormFunction(element, headSize)}`;

/**
 * Multiplies scores by the norms of their rows' values.
 *
 * Bindings: values KV elements `[kvHead][capacity][headSize]`; scores f32 `[kvHead][capacity]`, changed in place.
 * Grid: along `x` a thread for each scored row; `y` = KV heads.
 */
export function weighByRows(element: KvElement, headSize: number): Kernel {
  return {
    label: `weigh-by-rows-${element}-${headSize}`,
    bindings: ["read", "write"],
    wgsl: `
${norm(element, headSize)}
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  if (thread.x >= params.scored) { return; }
  scores[thread.y * params.capacity + thread.x] *= value_norm(thread.y, thread.x);
}
`,
  };
}

/**
 * Multiplies scores by the share that their rows' values have of those of all KV heads.
 *
 * Bindings: values KV elements `[kvHead][capacity][headSize]`; scores f32 `[kvHead][capacity]`, changed in place.
 * Grid: along `x` a thread for each scored row.
 */
export function weighByShares(element: KvElement, headSize: number): Kernel {
  return {
    label: `weigh-by-shares-${element}-${headSize}`,
    bindings: ["read", "write"],
    wgsl: `
${norm(element, headSize)}
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let j = thread.x;
  if (j >= params.scored) { return; }
  var sum: f32 = 0.0;
  for (var head: u32 = 0u; head < params.kv_heads; head++) { sum += value_norm(head, j); }
  for (var head: u32 = 0u; head < params.kv_heads; head++) {
    scores[head * params.capacity + j] *= select(0.0, value_norm(head, j) / sum, sum > 0.0);
  }
}
`,
  };
}

/**
 * Finds the largest norm of each head.
 *
 * Bindings: values KV elements `[kvHead][capacity][headSize]`; largest u32 `[kvHead]`, bits of f32, zero before.
 * Grid: along `x` a thread for each scored row; `y` = KV heads.
 */
export function largestNorms(element: KvElement, headSize: number): Kernel {
  return {
    label: `largest-norms-${element}-${headSize}`,
    bindings: ["read", "write"],
    wgsl: `
${norm(element, headSize)}
// The bits of positive numbers rise with their value.
@group(0) @binding(2) var<storage, read_write> largest: array<atomic<u32>>;

var<workgroup> norms: array<f32, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let j = group.x * ${THREADS}u + thread;
  // The last row again, where there is none.
  norms[thread] = value_norm(group.y, min(j, params.scored - 1u));
  workgroupBarrier();
  for (var distance: u32 = ${THREADS / 2}u; distance > 0u; distance >>= 1u) {
    if (thread < distance) { norms[thread] = max(norms[thread], norms[thread + distance]); }
    workgroupBarrier();
  }
  if (thread == 0u) { atomicMax(&largest[group.y], bitcast<u32>(norms[0])); }
}
`,
  };
}

/**
 * Multiplies scores by the largest norm of their head.
 *
 * Bindings: largest f32 `[kvHead]`; scores f32 `[kvHead][capacity]`, changed in place.
 * Grid: along `x` a thread for each scored row; `y` = KV heads.
 */
export const weighByHeads: Kernel = {
  label: "weigh-by-heads",
  bindings: ["read", "write"],
  wgsl: `
struct Params { start: u32, scored: u32, capacity: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> largest: array<f32>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  if (thread.x >= params.scored) { return; }
  scores[thread.y * params.capacity + thread.x] *= largest[thread.y];
}
`,
};

/** The scores that these kernels weigh. */
export interface ValueNormsShape {
  readonly kvHeadCount: number;
  /** First row of the prompt in the values. */
  readonly start: number;
  /** Scores of each KV head. */
  readonly scored: number;
  /** Rows from one KV head to the next, in values and scores. */
  readonly capacity: number;
}

/** A dispatch of {@link weighByRows}. */
export function weighByRowsDispatch({ kvHeadCount, start, scored, capacity }: ValueNormsShape): Dispatch {
  return { params: [start, scored, capacity], grid: [Math.ceil(scored / THREADS), kvHeadCount] };
}

/** A dispatch of {@link weighByShares}. */
export function weighBySharesDispatch({ kvHeadCount, start, scored, capacity }: ValueNormsShape): Dispatch {
  return { params: [start, scored, capacity, kvHeadCount], grid: [Math.ceil(scored / THREADS)] };
}

/** Dispatches of {@link largestNorms} and then {@link weighByHeads}. */
export function weighByHeadsDispatches(
  { kvHeadCount, start, scored, capacity }: ValueNormsShape,
): { readonly largest: Dispatch; readonly weigh: Dispatch } {
  const dispatch: Dispatch = {
    params: [start, scored, capacity],
    grid: [Math.ceil(scored / THREADS), kvHeadCount],
  };
  return { largest: dispatch, weigh: dispatch };
}
