/**
 * @file Observation-window scores: how much attention the last `w` queries of a prompt pay to each earlier row.
 *
 *     s[kvHead][j] = mean over the group's query heads of  sum over i < w of  softmax_j(q_i . k_j / sqrt(headSize))
 *
 * for j in [0, N - w). The softmax runs over all N keys, causally inside the last w x w corner, in f32; the columns of
 * the window itself are dropped afterwards. SnapKV (arXiv 2404.14469), DynamicKV (arXiv 2412.14838); the group mean is
 * taken so that KV heads, never query heads, are scored.
 *
 * No `[heads, w, N]` tensor is stored. The logits are computed twice:
 *
 *     keys --> partials: maximum and sum of exponentials of each query, a chunk of keys at a time
 *                 |
 *              combine: the same over all chunks, the sum inverted
 *                 |
 *     keys --> scores: each key's logits again, exponentiated, normalised and summed over the queries
 *
 * The `group * w` queries of one KV head ("query rows", head-major) are handled eight at a time as two vec4s. A key row
 * is read once for a tile of eight. Query rows beyond the last are zero in `partials` and weigh nothing in `scores`.
 */
import { MAX_WINDOW } from "../../scores/limits.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";
import { type KvElement, kvFunctions, kvVec4Type } from "../kv_element.ts";

/** WGSL of what `combine` leaves of eight query rows: their maxima, and one over their sums; 0 beyond the last row. */
export const STATISTICS_STRUCT = `struct Statistics {
  max_low: vec4<f32>, max_high: vec4<f32>, inverse_low: vec4<f32>, inverse_high: vec4<f32>,
}`;

/** Query rows of a tile, which are handled together: two vec4s. */
export const QUERY_TILE_ROWS = 8;
/** Keys whose maximum and sum make one partial. */
export const CHUNK_KEYS = 256;
export const PARTIAL_THREADS = 64;
/** Keys of one workgroup of the scores kernel: one a thread, so that the queries are staged for many keys. */
export const SCORE_THREADS = 256;

const PARAMS = `
struct Params {
  start: u32, length: u32, window: u32, group: u32,
  capacity: u32, query_start: u32, query_stride: u32, scale: f32,
  weight: f32, variance_weight: f32, is_maximum: u32, reach: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

fn tile_count() -> u32 { return (params.group * params.window + ${QUERY_TILE_ROWS - 1}u) / ${QUERY_TILE_ROWS}u; }
fn chunk_count() -> u32 { return (params.length + ${CHUNK_KEYS - 1}u) / ${CHUNK_KEYS}u; }
`;

/**
 * Declares parameters, keys (binding 1) and queries (binding 2), and `stage_queries`, `logits` and `last_visible4`, which work
 * on a tile of eight query rows.
 */
export function logitFunctions(element: KvElement, headSize: number, threads: number): string {
  const quads = headSize / 4;
  const dots = (first: number) =>
    [0, 1, 2, 3].map((row) => `dot(queries[d * ${QUERY_TILE_ROWS}u + ${first + row}u], key)`).join(", ");
  return `
${PARAMS}
@group(0) @binding(1) var<storage, read> keys: array<${kvVec4Type(element)}>;
@group(0) @binding(2) var<storage, read> window_queries: array<vec4<f32>>;
${kvFunctions(element)}

// [quad of the head][row of the tile], scaled.
var<workgroup> queries: array<vec4<f32>, ${quads * QUERY_TILE_ROWS}>;

fn stage_queries(kv_head: u32, tile: u32, thread: u32) {
  for (var i: u32 = thread; i < ${quads * QUERY_TILE_ROWS}u; i += ${threads}u) {
    let row = i / ${quads}u;
    let quad = i % ${quads}u;
    let query_row = tile * ${QUERY_TILE_ROWS}u + row;
    var query: vec4<f32> = vec4<f32>();
    if (query_row < params.group * params.window) {
      let head = kv_head * params.group + query_row / params.window;
      query = window_queries[
        params.query_start + (query_row % params.window) * params.query_stride + head * ${quads}u + quad];
    }
    queries[quad * ${QUERY_TILE_ROWS}u + row] = query * params.scale;
  }
}

struct Logits { low: vec4<f32>, high: vec4<f32> }

// Logits of key j, which need not be in range, against rows 0-3 and 4-7 of the staged tile.
fn logits(kv_head: u32, j: u32) -> Logits {
  let first = (kv_head * params.capacity + params.start + min(j, params.length - 1u)) * ${quads}u;
  var low: vec4<f32> = vec4<f32>();
  var high: vec4<f32> = vec4<f32>();
  for (var d: u32 = 0u; d < ${quads}u; d++) {
    let key = load_kv(keys[first + d]);
    low += vec4<f32>(${dots(0)});
    high += vec4<f32>(${dots(4)});
  }
  return Logits(low, high);
}

// The last key that a query row sees.
fn last_visible(query_row: u32) -> u32 { return params.length - params.window + query_row % params.window; }

fn last_visible4(row: u32) -> vec4<u32> {
  return vec4<u32>(last_visible(row), last_visible(row + 1u), last_visible(row + 2u), last_visible(row + 3u));
}
`;
}

/** Declares `combine_threads`, which merges every thread's running softmax; thread 0 then holds the result. */
export const COMBINE_THREADS = `
// Finite, so that exp(LOWEST - maximum) is 0 and never NaN, also where a thread saw no key at all.
const LOWEST: f32 = -1e38;

struct Softmax { max_low: vec4<f32>, max_high: vec4<f32>, sum_low: vec4<f32>, sum_high: vec4<f32> }

var<workgroup> shared_softmax: array<Softmax, ${PARTIAL_THREADS}>;

fn merge(a: Softmax, b: Softmax) -> Softmax {
  let low = max(a.max_low, b.max_low);
  let high = max(a.max_high, b.max_high);
  return Softmax(
    low,
    high,
    a.sum_low * exp(a.max_low - low) + b.sum_low * exp(b.max_low - low),
    a.sum_high * exp(a.max_high - high) + b.sum_high * exp(b.max_high - high),
  );
}

fn combine_threads(mine: Softmax, thread: u32) {
  shared_softmax[thread] = mine;
  workgroupBarrier();
  for (var distance: u32 = ${PARTIAL_THREADS / 2}u; distance > 0u; distance >>= 1u) {
    if (thread < distance) {
      shared_softmax[thread] = merge(shared_softmax[thread], shared_softmax[thread + distance]);
    }
    workgroupBarrier();
  }
}
`;

function partialsKernel(element: KvElement, headSize: number): Kernel {
  return {
    label: `window-partials-${element}-${headSize}`,
    bindings: ["read", "read", "write"],
    wgsl: `
${logitFunctions(element, headSize, PARTIAL_THREADS)}
${COMBINE_THREADS}
@group(0) @binding(3) var<storage, read_write> partials: array<Softmax>;

@compute @workgroup_size(${PARTIAL_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let chunk = group.x;
  let kv_head = group.y;
  let tile = group.z;
  stage_queries(kv_head, tile, thread);
  workgroupBarrier();
  let visible_low = last_visible4(tile * ${QUERY_TILE_ROWS}u);
  let visible_high = last_visible4(tile * ${QUERY_TILE_ROWS}u + 4u);
  let lowest = vec4<f32>(LOWEST);
  var softmax: Softmax = Softmax(lowest, lowest, vec4<f32>(), vec4<f32>());
  for (var i: u32 = 0u; i < ${CHUNK_KEYS / PARTIAL_THREADS}u; i++) {
    let j = chunk * ${CHUNK_KEYS}u + i * ${PARTIAL_THREADS}u + thread;
    let found = logits(kv_head, j);
    let low = select(lowest, found.low, vec4<u32>(j) <= visible_low);
    let high = select(lowest, found.high, vec4<u32>(j) <= visible_high);
    softmax = merge(softmax, Softmax(low, high, vec4<f32>(1.0), vec4<f32>(1.0)));
  }
  combine_threads(softmax, thread);
  if (thread == 0u) {
    partials[(kv_head * tile_count() + tile) * chunk_count() + chunk] = shared_softmax[0];
  }
}
`,
  };
}

const combineKernel: Kernel = {
  label: "window-combine",
  bindings: ["read", "write"],
  wgsl: `
${PARAMS}
${COMBINE_THREADS}
@group(0) @binding(1) var<storage, read> partials: array<Softmax>;
@group(0) @binding(2) var<storage, read_write> statistics: array<Softmax>;

@compute @workgroup_size(${PARTIAL_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tile = group.x;
  let slot = group.y * tile_count() + tile;
  let lowest = vec4<f32>(LOWEST);
  var softmax: Softmax = Softmax(lowest, lowest, vec4<f32>(), vec4<f32>());
  for (var chunk: u32 = thread; chunk < chunk_count(); chunk += ${PARTIAL_THREADS}u) {
    softmax = merge(softmax, partials[slot * chunk_count() + chunk]);
  }
  combine_threads(softmax, thread);
  if (thread == 0u) {
    let total = shared_softmax[0];
    let row = vec4<u32>(tile * ${QUERY_TILE_ROWS}u) + vec4<u32>(0u, 1u, 2u, 3u);
    let rows = vec4<u32>(params.group * params.window);
    statistics[slot] = Softmax(
      total.max_low,
      total.max_high,
      select(vec4<f32>(), 1.0 / total.sum_low, row < rows),
      select(vec4<f32>(), 1.0 / total.sum_high, row + vec4<u32>(4u) < rows),
    );
  }
}
`,
};

function scoresKernel(element: KvElement, headSize: number): Kernel {
  return {
    label: `window-scores-${element}-${headSize}`,
    bindings: ["read", "read", "read", "write"],
    wgsl: `
${logitFunctions(element, headSize, SCORE_THREADS)}
${STATISTICS_STRUCT}
@group(0) @binding(3) var<storage, read> statistics: array<Statistics>;
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(${SCORE_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let j = group.x * ${SCORE_THREADS}u + thread;
  let kv_head = group.y;
  var score: f32 = 0.0;
  for (var tile: u32 = 0u; tile < tile_count(); tile++) {
    workgroupBarrier();
    stage_queries(kv_head, tile, thread);
    workgroupBarrier();
    let found = logits(kv_head, j);
    let total = statistics[kv_head * tile_count() + tile];
    score += dot(exp(found.low - total.max_low), total.inverse_low);
    score += dot(exp(found.high - total.max_high), total.inverse_high);
  }
  // A key of the window can exceed the causal maximum: its score may be infinite, and is dropped.
  if (j + params.window < params.length) {
    scores[kv_head * params.capacity + j] = score / f32(params.group);
  }
}
`,
  };
}

/** The three kernels that make window scores, dispatched in this order. */
export interface WindowScoreKernels {
  /**
   * Bindings: keys KV elements `[kvHead][capacity][headSize]` (rotated), window queries f32
   * `[segment][MAX_WINDOW][queryHead][headSize]` (rotated, unscaled; row 0 the oldest of the window), partials
   * ({@link windowPartialsBytes}).
   * Grid: `x` = chunks of keys, `y` = KV heads, `z` = tiles of queries.
   */
  readonly partials: Kernel;
  /**
   * Bindings: partials, statistics ({@link windowStatisticsBytes}).
   * Grid: `x` = tiles of queries, `y` = KV heads.
   */
  readonly combine: Kernel;
  /**
   * Bindings: keys, window queries, statistics, scores f32 `[kvHead][capacity]`.
   * Grid: along `x` a thread for each row before the window; `y` = KV heads.
   */
  readonly scores: Kernel;
}

/**
 * Generates the kernels for a model's head size.
 *
 * @param headSize elements of a head; a multiple of 4, at most 256
 */
export function windowScores(element: KvElement, headSize: number): WindowScoreKernels {
  return {
    partials: partialsKernel(element, headSize),
    combine: combineKernel,
    scores: scoresKernel(element, headSize),
  };
}

/** One prompt of a pack, as the window score kernels see it. */
export interface WindowScoresShape {
  readonly kvHeadCount: number;
  readonly queryHeadCount: number;
  readonly headSize: number;
  /** Rows of the keys buffer per KV head, and of the scores buffer. */
  readonly capacity: number;
  /** Row of the queries buffer that holds the first query of the window. */
  readonly firstQuery: number;
  /** First row of the prompt in the keys buffer. */
  readonly start: number;
  /** Rows of the prompt; more than `window`. */
  readonly length: number;
  /** Rows of the observation window; 1 to {@link MAX_WINDOW}. */
  readonly window: number;
}

/** Dispatches of the kernels of {@link windowScores}. */
export function windowScoresDispatches(
  { kvHeadCount, queryHeadCount, headSize, capacity, firstQuery, start, length, window }: WindowScoresShape,
): { readonly partials: Dispatch; readonly combine: Dispatch; readonly scores: Dispatch } {
  const group = queryHeadCount / kvHeadCount;
  const queryStride = queryHeadCount * headSize / 4;
  const scale = floatBits(1 / Math.sqrt(headSize));
  const params = [start, length, window, group, capacity, firstQuery * queryStride, queryStride, scale];
  const tiles = tileCount(group, window);
  return {
    partials: { params, grid: [Math.ceil(length / CHUNK_KEYS), kvHeadCount, tiles] },
    combine: { params, grid: [tiles, kvHeadCount] },
    scores: { params, grid: [Math.ceil((length - window) / SCORE_THREADS), kvHeadCount] },
  };
}

/** Bytes of the partials of a prompt as long as `capacity` under the widest window. */
export function windowPartialsBytes(kvHeadCount: number, queryHeadCount: number, capacity: number): number {
  return windowStatisticsBytes(kvHeadCount, queryHeadCount) * Math.ceil(capacity / CHUNK_KEYS);
}

/** Bytes of the statistics under the widest window: a maximum and a sum for each row of each tile. */
export function windowStatisticsBytes(kvHeadCount: number, queryHeadCount: number): number {
  return kvHeadCount * tileCount(queryHeadCount / kvHeadCount, MAX_WINDOW) * QUERY_TILE_ROWS * 8;
}

function tileCount(group: number, window: number): number {
  return Math.ceil(group * window / QUERY_TILE_ROWS);
}
