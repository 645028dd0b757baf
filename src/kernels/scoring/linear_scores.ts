/**
 * @file Scores of keys by a vector of each KV head, and what such vectors are made of: the mean query of a prompt.
 *
 *     s[kvHead][j] = vector[kvHead] . k_j + sum over pairs f of magnitudes[kvHead][f] * |k_j,f|
 *
 * Keys are rotated, queries are turned back before they are averaged, and a pair is what the rotation turns: (2i, 2i + 1), or
 * (i, i + headSize / 2). Queries are summed a chunk of rows at a time; the host adds the chunks up.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { type KvElement, kvFunctions, kvVec4Type } from "../kv_element.ts";

const THREADS = 256;
/** Rows of which the queries make one sum. */
const CHUNK = 128;
const SUM_THREADS = 64;

export type Pairing = "adjacent" | "halves";

/**
 * Bindings: keys, KV elements `[kvHead][capacity][headSize]`; coefficients f32 `[kvHead][headSize + headSize / 2]`, a vector and
 * its magnitudes; scores f32 `[kvHead][capacity]`.
 * Grid: along `x` a thread for each scored row; `y` = KV heads.
 */
export function linearScores(element: KvElement, headSize: number, pairing: Pairing): Kernel {
  const quads = headSize / 4;
  // Four pairs at a time, or two.
  const magnitudes = pairing === "adjacent"
    ? `for (var d: u32 = 0u; d < ${quads}u; d++) {
    let key = load_kv(keys[first + d]);
    sum += length(key.xy) * coefficients[weights + 2u * d] + length(key.zw) * coefficients[weights + 2u * d + 1u];
  }`
    : `for (var d: u32 = 0u; d < ${quads / 2}u; d++) {
    let a = load_kv(keys[first + d]);
    let b = load_kv(keys[first + ${quads / 2}u + d]);
    let lengths = sqrt(a * a + b * b);
    sum += lengths.x * coefficients[weights + 4u * d] + lengths.y * coefficients[weights + 4u * d + 1u];
    sum += lengths.z * coefficients[weights + 4u * d + 2u] + lengths.w * coefficients[weights + 4u * d + 3u];
  }`;
  return {
    label: `linear-scores-${element}-${headSize}-${pairing}`,
    bindings: ["read", "read", "write"],
    wgsl: `
struct Params { start: u32, scored: u32, capacity: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> keys: array<${kvVec4Type(element)}>;
@group(0) @binding(2) var<storage, read> coefficients: array<f32>;
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;
${kvFunctions(element)}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let j = thread.x;
  let kv_head = thread.y;
  if (j >= params.scored) { return; }
  let first = (kv_head * params.capacity + params.start + j) * ${quads}u;
  let vector = kv_head * ${headSize + headSize / 2}u;
  let weights = vector + ${headSize}u;
  var sum: f32 = 0.0;
  for (var d: u32 = 0u; d < ${quads}u; d++) {
    let at = vector + 4u * d;
    let part = vec4<f32>(coefficients[at], coefficients[at + 1u], coefficients[at + 2u], coefficients[at + 3u]);
    sum += dot(load_kv(keys[first + d]), part);
  }
  ${magnitudes}
  scores[kv_head * params.capacity + j] = sum;
}
`,
  };
}

/**
 * Bindings: queries f32 `[row of the pack][queryHead][headSize]`, rotated; table vec2 (cos, sin) `[position][headSize / 2]`; sums f32
 * `[chunk][queryHead][headSize + headSize / 2]`, of the queries before rotation and of the magnitudes of their pairs.
 * Grid: chunks, query heads.
 */
export function querySums(headSize: number, pairing: Pairing): Kernel {
  const pairs = headSize / 2;
  return {
    label: `query-sums-${headSize}-${pairing}`,
    bindings: ["read", "read", "write"],
    wgsl: `
struct Params { start: u32, length: u32, query_heads: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> table: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(${SUM_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = group.y;
  let end = min((group.x + 1u) * ${CHUNK}u, params.length);
  let place = (group.x * params.query_heads + head) * ${headSize + pairs}u;
  for (var pair: u32 = thread; pair < ${pairs}u; pair += ${SUM_THREADS}u) {
    let first = ${pairing === "adjacent" ? "2u * pair" : "pair"};
    let second = ${pairing === "adjacent" ? "first + 1u" : `first + ${pairs}u`};
    var mean: vec2<f32> = vec2<f32>();
    var magnitude: f32 = 0.0;
    for (var row: u32 = group.x * ${CHUNK}u; row < end; row++) {
      let at = ((params.start + row) * params.query_heads + head) * ${headSize}u;
      let query = vec2<f32>(queries[at + first], queries[at + second]);
      let turn = table[row * ${pairs}u + pair];
      // The table's lengths are not 1 where a model lengthens what it rotates.
      let squares = dot(turn, turn);
      mean += vec2<f32>(dot(query, turn), query.y * turn.x - query.x * turn.y) / squares;
      magnitude += length(query) * inverseSqrt(squares);
    }
    sums[place + first] = mean.x;
    sums[place + second] = mean.y;
    sums[place + ${headSize}u + pair] = magnitude;
  }
}
`,
  };
}

/** One prompt of a pack, as {@link linearScores} sees it. */
export interface LinearScoresShape {
  readonly kvHeadCount: number;
  /** First row of the prompt in the keys. */
  readonly start: number;
  /** Rows that get a score, from the first on. */
  readonly scored: number;
  /** Rows of the keys and scores per KV head. */
  readonly capacity: number;
}

/** A dispatch of {@link linearScores}. */
export function linearScoresDispatch({ kvHeadCount, start, scored, capacity }: LinearScoresShape): Dispatch {
  return { params: [start, scored, capacity], grid: [Math.ceil(scored / THREADS), kvHeadCount] };
}

/** The queries that {@link querySums} sums. */
export interface QuerySumsShape {
  readonly queryHeadCount: number;
  /** First row of the prompt in the queries, and its rows. */
  readonly start: number;
  readonly length: number;
}

/** A dispatch of {@link querySums}. */
export function querySumsDispatch({ queryHeadCount, start, length }: QuerySumsShape): Dispatch {
  return { params: [start, length, queryHeadCount], grid: [Math.ceil(length / CHUNK), queryHeadCount] };
}

/** Numbers of the sums of a prompt. */
export function querySumsWords(queryHeadCount: number, headSize: number, length: number): number {
  return Math.ceil(length / CHUNK) * queryHeadCount * (headSize + headSize / 2);
}
