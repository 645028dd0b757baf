/**
 * @file Lookup scores: what the rows that a model is about to read make it look up next.
 *
 * The best `lookups` rows of each KV head (by read_ahead.ts, in `ahead`) are what the model is expected to copy. While it
 * does, it will ask much the same as their own queries asked when the prompt was read. So these queries look at the rows
 * before the window once more, ahead of them as well as behind, and at all but the best rows themselves:
 *
 *     scores[kvHead][j] += max over the group's heads h and i < lookups of
 *                            ahead[kvHead][best_i] softmax_j(q_(best_i, h) . k_j / sqrt(headSize))
 *
 * for every row j that is not among the best; equal last ones count as well. Attention sinks among the best do not look. The
 * maximum, as what one of them needs is not worth less because the others do not.
 *
 *     ahead, best rows, queries of the prompt --gather--> lookup queries, weights
 *     keys, lookup queries --partials--> --combine (window_scores.ts)--> statistics --scores--> scores
 */
import { MAX_LOOKUPS } from "../../scores/limits.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import type { KvElement } from "../kv_element.ts";
import { SINKS } from "./read_ahead.ts";
import {
  CHUNK_KEYS,
  COMBINE_THREADS,
  logitFunctions,
  PARTIAL_THREADS,
  QUERY_TILE_ROWS,
  SCORE_THREADS,
  STATISTICS_STRUCT,
  windowScoresDispatches,
  type WindowScoresShape,
} from "./window_scores.ts";

const GATHER_THREADS = 64;
/** Weights of a KV head: one for each lookup, then what the last best row is worth, which all others are worth less than. */
const WEIGHTS = MAX_LOOKUPS + 1;

/** Whether a row is none of those that look: it ranks behind the last of them. */
const IS_OTHER = `
fn is_other(kv_head: u32, j: u32) -> bool {
  return j < params.length &&
    ahead[kv_head * params.capacity + j] < weights[kv_head * ${WEIGHTS}u + ${MAX_LOOKUPS}u];
}
`;

/**
 * Copies the queries of the best rows, and what these rows are worth.
 *
 * Bindings: queries f32 `[row of the pack][queryHead][headSize]`, rotated, not scaled; indices u32 `[kvHead][capacity]`, best
 * rows first; ahead f32 `[kvHead][capacity]`; lookup queries f32 `[lookup][queryHead][headSize]`; weights f32
 * ({@link lookupWeightsBytes}).
 * Grid: `x` = lookups, `y` = query heads.
 */
export function gatherLookups(headSize: number): Kernel {
  const quads = headSize / 4;
  return {
    label: `gather-lookups-${headSize}`,
    bindings: ["read", "read", "read", "write", "write"],
    wgsl: `
struct Params { start: u32, capacity: u32, group: u32, query_heads: u32, lookups: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> queries: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read> ahead: array<f32>;
@group(0) @binding(4) var<storage, read_write> lookup_queries: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> weights: array<f32>;

@compute @workgroup_size(${GATHER_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lookup = group.x;
  let head = group.y;
  let first = (head / params.group) * params.capacity;
  let row = indices[first + lookup];
  let source = ((params.start + row) * params.query_heads + head) * ${quads}u;
  let destination = (lookup * params.query_heads + head) * ${quads}u;
  for (var quad: u32 = thread; quad < ${quads}u; quad += ${GATHER_THREADS}u) {
    lookup_queries[destination + quad] = queries[source + quad];
  }
  if (thread == 0u && head % params.group == 0u) {
    let head_weights = (head / params.group) * ${WEIGHTS}u;
    weights[head_weights + lookup] = select(0.0, ahead[first + row], row >= ${SINKS}u);
    if (lookup + 1u == params.lookups) { weights[head_weights + ${MAX_LOOKUPS}u] = ahead[first + row]; }
  }
}
`,
  };
}

function partialsKernel(element: KvElement, headSize: number): Kernel {
  return {
    label: `lookup-partials-${element}-${headSize}`,
    bindings: ["read", "read", "read", "read", "write"],
    wgsl: `
${logitFunctions(element, headSize, PARTIAL_THREADS)}
${COMBINE_THREADS}
@group(0) @binding(3) var<storage, read> ahead: array<f32>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<Softmax>;
${IS_OTHER}

@compute @workgroup_size(${PARTIAL_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let chunk = group.x;
  let kv_head = group.y;
  let tile = group.z;
  stage_queries(kv_head, tile, thread);
  workgroupBarrier();
  let lowest = vec4<f32>(LOWEST);
  var softmax: Softmax = Softmax(lowest, lowest, vec4<f32>(), vec4<f32>());
  for (var i: u32 = 0u; i < ${CHUNK_KEYS / PARTIAL_THREADS}u; i++) {
    let j = chunk * ${CHUNK_KEYS}u + i * ${PARTIAL_THREADS}u + thread;
    if (is_other(kv_head, j)) {
      let found = logits(kv_head, j);
      softmax = merge(softmax, Softmax(found.low, found.high, vec4<f32>(1.0), vec4<f32>(1.0)));
    }
  }
  combine_threads(softmax, thread);
  if (thread == 0u) {
    partials[(kv_head * tile_count() + tile) * chunk_count() + chunk] = shared_softmax[0];
  }
}
`,
  };
}

function scoresKernel(element: KvElement, headSize: number): Kernel {
  return {
    label: `lookup-scores-${element}-${headSize}`,
    bindings: ["read", "read", "read", "read", "read", "write"],
    wgsl: `
${logitFunctions(element, headSize, SCORE_THREADS)}
${STATISTICS_STRUCT}
@group(0) @binding(3) var<storage, read> statistics: array<Statistics>;
@group(0) @binding(4) var<storage, read> ahead: array<f32>;
@group(0) @binding(5) var<storage, read> weights: array<f32>;
@group(0) @binding(6) var<storage, read_write> scores: array<f32>;
${IS_OTHER}

// Weight of a row of the tile; rows beyond the last are one of the best rows', and count for nothing in the statistics.
fn weight(kv_head: u32, row: u32) -> f32 { return weights[kv_head * ${WEIGHTS}u + row % params.window]; }

fn weight4(kv_head: u32, row: u32) -> vec4<f32> {
  return vec4<f32>(
    weight(kv_head, row), weight(kv_head, row + 1u), weight(kv_head, row + 2u), weight(kv_head, row + 3u));
}

@compute @workgroup_size(${SCORE_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let j = group.x * ${SCORE_THREADS}u + thread;
  let kv_head = group.y;
  let wanted = is_other(kv_head, j);
  var best: vec4<f32> = vec4<f32>();
  for (var tile: u32 = 0u; tile < tile_count(); tile++) {
    workgroupBarrier();
    stage_queries(kv_head, tile, thread);
    workgroupBarrier();
    if (wanted) {
      let found = logits(kv_head, j);
      let total = statistics[kv_head * tile_count() + tile];
      let row = tile * ${QUERY_TILE_ROWS}u;
      let low = exp(found.low - total.max_low) * total.inverse_low * weight4(kv_head, row);
      let high = exp(found.high - total.max_high) * total.inverse_high * weight4(kv_head, row + 4u);
      best = max(best, max(low, high));
    }
  }
  if (wanted) { scores[kv_head * params.capacity + j] += max(max(best.x, best.y), max(best.z, best.w)); }
}
`,
  };
}

/** The kernels that add lookup scores, dispatched in this order; `combine` of window_scores.ts goes before the last. */
export interface LookupScoreKernels {
  readonly gather: Kernel;
  /**
   * Bindings: keys KV elements `[kvHead][capacity][headSize]`; lookup queries; ahead; weights; partials, sized as those of
   * window_scores.ts.
   * Grid: that of `partials` of window_scores.ts.
   */
  readonly partials: Kernel;
  /**
   * Bindings: keys; lookup queries; statistics; ahead; weights; scores f32 `[kvHead][capacity]`.
   * Grid: along `x` a thread for each row before the window; `y` = KV heads.
   */
  readonly scores: Kernel;
}

/**
 * Generates the kernels for a model's head size.
 *
 * @param headSize elements of a head; a multiple of 4, at most 256
 */
export function lookupScores(element: KvElement, headSize: number): LookupScoreKernels {
  return {
    gather: gatherLookups(headSize),
    partials: partialsKernel(element, headSize),
    scores: scoresKernel(element, headSize),
  };
}

/** One prompt of a pack, as the lookup kernels see it. */
export interface LookupScoresShape
  extends Pick<WindowScoresShape, "kvHeadCount" | "queryHeadCount" | "headSize" | "capacity"> {
  /** First row of the prompt in the keys and queries buffers. */
  readonly start: number;
  /** Rows before the window. */
  readonly scored: number;
  /** Rows that look, of each KV head; 1 to {@link MAX_LOOKUPS}, less than `scored`. */
  readonly lookups: number;
}

/** Dispatches of all kernels of {@link lookupScores}, and of `combine` of window_scores.ts between the last two. */
export function lookupScoresDispatches(
  shape: LookupScoresShape,
): { readonly gather: Dispatch; readonly partials: Dispatch; readonly combine: Dispatch; readonly scores: Dispatch } {
  const { kvHeadCount, queryHeadCount, capacity, start, scored, lookups } = shape;
  // The lookups stand in for a window behind the scored rows.
  const window = windowScoresDispatches({ ...shape, firstQuery: 0, length: scored, window: lookups });
  return {
    gather: {
      params: [start, capacity, queryHeadCount / kvHeadCount, queryHeadCount, lookups],
      grid: [lookups, queryHeadCount],
    },
    partials: window.partials,
    combine: window.combine,
    scores: { params: window.scores.params, grid: [Math.ceil(scored / SCORE_THREADS), kvHeadCount] },
  };
}

/** Bytes of the weights of all KV heads. */
export function lookupWeightsBytes(kvHeadCount: number): number {
  return kvHeadCount * WEIGHTS * 4;
}
