/**
 * @file Scores of rows by their keys alone, no query asked.
 *
 *     norm          s[kvHead][j] = 1 / (1 + |k_j|)                                  Devoto et al., arXiv 2406.11430
 *     difference    s[kvHead][j] = 1 - cos(k_j, m),  m = mean over i of k_i / |k_i|  Park et al., arXiv 2504.15364
 *
 * Published as -|k| and -cos: the order is the same, but these are positive, as ranking and histograms ask for. The mean is
 * over all rows of the prompt; it is made in two steps:
 *
 *     keys --> directions: sums of unit keys, a chunk of keys at a time
 *                   |
 *     keys --> difference: the sum of all chunks, then each key against it
 *
 * The length of the mean does not matter to a cosine, so sums are never divided. A key of length 0 counts as perpendicular
 * to everything.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { type KvElement, kvFunctions, kvVec4Type } from "../kv_element.ts";

/** Keys whose directions make one sum: one a thread. */
const THREADS = 256;
/** Smallest length and squared length that are divided by: f32's own limits are further away. */
const TINY = "1e-30";

const HEADER = (element: KvElement, headSize: number) => `
struct Params { start: u32, length: u32, scored: u32, capacity: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> keys: array<${kvVec4Type(element)}>;
${kvFunctions(element)}
fn first_quad(kv_head: u32, j: u32) -> u32 { return (kv_head * params.capacity + params.start + j) * ${headSize / 4}u; }

fn squared_length(first: u32) -> f32 {
  var squares: f32 = 0.0;
  for (var d: u32 = 0u; d < ${headSize / 4}u; d++) {
    let key = load_kv(keys[first + d]);
    squares += dot(key, key);
  }
  return squares;
}
`;

/**
 * Bindings: keys, KV elements `[kvHead][capacity][headSize]`; scores f32 `[kvHead][capacity]`.
 * Grid: along `x` a thread for each scored row; `y` = KV heads.
 */
export function keyNormScores(element: KvElement, headSize: number): Kernel {
  return {
    label: `key-norm-scores-${element}-${headSize}`,
    bindings: ["read", "write"],
    wgsl: `
${HEADER(element, headSize)}
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let j = thread.x;
  if (j >= params.scored) { return; }
  scores[thread.y * params.capacity + j] = 1.0 / (1.0 + sqrt(squared_length(first_quad(thread.y, j))));
}
`,
  };
}

/**
 * Bindings: keys; directions vec4<f32> `[kvHead][chunk][headSize / 4]` ({@link keyDirectionsBytes}).
 * Grid: along `x` a thread for each row; `y` = KV heads.
 */
export function keyDirections(element: KvElement, headSize: number): Kernel {
  const quads = headSize / 4;
  return {
    label: `key-directions-${element}-${headSize}`,
    bindings: ["read", "write"],
    wgsl: `
${HEADER(element, headSize)}
@group(0) @binding(2) var<storage, read_write> directions: array<vec4<f32>>;

var<workgroup> inverse_lengths: array<f32, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let kv_head = group.y;
  let chunk = group.x * ${THREADS}u;
  let j = chunk + thread;
  if (j < params.length) {
    inverse_lengths[thread] = inverseSqrt(max(squared_length(first_quad(kv_head, j)), ${TINY}));
  }
  workgroupBarrier();
  let count = min(${THREADS}u, params.length - chunk);
  for (var d: u32 = thread; d < ${quads}u; d += ${THREADS}u) {
    var sum: vec4<f32> = vec4<f32>();
    for (var i: u32 = 0u; i < count; i++) {
      sum += load_kv(keys[first_quad(kv_head, chunk + i) + d]) * inverse_lengths[i];
    }
    directions[(kv_head * groups.x + group.x) * ${quads}u + d] = sum;
  }
}
`,
  };
}

/**
 * Bindings: keys; directions; scores f32 `[kvHead][capacity]`.
 * Grid: along `x` a thread for each scored row; `y` = KV heads.
 */
export function keyDifferenceScores(element: KvElement, headSize: number): Kernel {
  const quads = headSize / 4;
  return {
    label: `key-difference-scores-${element}-${headSize}`,
    bindings: ["read", "read", "write"],
    wgsl: `
${HEADER(element, headSize)}
@group(0) @binding(2) var<storage, read> directions: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;

var<workgroup> mean: array<vec4<f32>, ${quads}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let kv_head = group.y;
  let chunks = (params.length + ${THREADS - 1}u) / ${THREADS}u;
  for (var d: u32 = thread; d < ${quads}u; d += ${THREADS}u) {
    var sum: vec4<f32> = vec4<f32>();
    for (var chunk: u32 = 0u; chunk < chunks; chunk++) {
      sum += directions[(kv_head * chunks + chunk) * ${quads}u + d];
    }
    mean[d] = sum;
  }
  workgroupBarrier();
  let j = group.x * ${THREADS}u + thread;
  if (j >= params.scored) { return; }
  let first = first_quad(kv_head, j);
  var product: f32 = 0.0;
  var squares: f32 = 0.0;
  var mean_squares: f32 = 0.0;
  for (var d: u32 = 0u; d < ${quads}u; d++) {
    let key = load_kv(keys[first + d]);
    product += dot(key, mean[d]);
    squares += dot(key, key);
    mean_squares += dot(mean[d], mean[d]);
  }
  let cosine = product * inverseSqrt(max(squares, ${TINY})) * inverseSqrt(max(mean_squares, ${TINY}));
  scores[kv_head * params.capacity + j] = max(1.0 - cosine, 0.0);
}
`,
  };
}

/** One prompt of a pack, as these kernels see it. */
export interface KeyScoresShape {
  readonly kvHeadCount: number;
  /** First row of the prompt in the keys buffer. */
  readonly start: number;
  /** Rows of the prompt. */
  readonly length: number;
  /** Rows that get a score, from the first on. */
  readonly scored: number;
  /** Rows of the keys and scores buffers per KV head. */
  readonly capacity: number;
}

/** A dispatch of {@link keyNormScores}. */
export function keyNormScoresDispatch(
  { kvHeadCount, start, length, scored, capacity }: KeyScoresShape,
): Dispatch {
  return { params: [start, length, scored, capacity], grid: [Math.ceil(scored / THREADS), kvHeadCount] };
}

/** Dispatches of {@link keyDirections} and then {@link keyDifferenceScores}. */
export function keyDifferenceScoresDispatches(
  { kvHeadCount, start, length, scored, capacity }: KeyScoresShape,
): { readonly directions: Dispatch; readonly scores: Dispatch } {
  const params = [start, length, scored, capacity];
  return {
    directions: { params, grid: [Math.ceil(length / THREADS), kvHeadCount] },
    scores: { params, grid: [Math.ceil(scored / THREADS), kvHeadCount] },
  };
}

/** Bytes of the directions of a prompt as long as `capacity`. */
export function keyDirectionsBytes(kvHeadCount: number, headSize: number, capacity: number): number {
  return kvHeadCount * Math.ceil(capacity / THREADS) * headSize * 4;
}
