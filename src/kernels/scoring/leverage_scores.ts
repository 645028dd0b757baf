/**
 * @file Leverage of keys among those of their chunk of the prompt (Compactor, arXiv 2507.08143):
 *
 *     x_j = sketch of k_j, turned back to before its rotation, minus the mean of the chunk's     see scores/sketch.ts
 *     G   = sum over the chunk of x_j x_j^T + ridge * trace / width
 *     s[kvHead][j] = x_j^T G^-1 x_j = |L^-1 x_j|^2   with G = L L^T
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { MIX } from "../../scores/row_lots.ts";
import { LEVERAGE_CHUNK, LEVERAGE_RIDGE, sketchWidth } from "../../scores/sketch.ts";
import { type KvElement, kvFunctions, kvVec4Type } from "../kv_element.ts";
import type { Pairing } from "./linear_scores.ts";

const THREADS = 256;

/**
 * Sketches keys.
 *
 * Bindings: keys, KV elements `[kvHead][capacity][headSize]`, rotated; table vec2 (cos, sin) `[position][headSize / 2]`; sketches f32
 * `[kvHead][capacity][width]`, from the prompt's first row on.
 * Grid: along `x` a thread for each element of a row's sketch; `y` = KV heads.
 */
export function sketchKeys(element: KvElement, headSize: number, pairing: Pairing): Kernel {
  const width = sketchWidth(headSize);
  const pairs = headSize / 2;
  const weight = width === headSize ? `fn weight(i: u32, s: u32) -> f32 { return select(0.0, 1.0, i == s); }` : `${MIX}
fn weight(i: u32, s: u32) -> f32 {
  return select(${-1 / Math.sqrt(width)}, ${1 / Math.sqrt(width)}, (mix_bits(i * ${width}u + s) & 1u) == 1u);
}`;
  return {
    label: `sketch-keys-${element}-${headSize}-${pairing}`,
    bindings: ["read", "read", "write"],
    wgsl: `
struct Params { start: u32, length: u32, capacity: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> keys: array<${kvVec4Type(element)}>;
@group(0) @binding(2) var<storage, read> table: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> sketches: array<f32>;
${kvFunctions(element)}
${weight}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let row = thread.x / ${width}u;
  let s = thread.x % ${width}u;
  if (row >= params.length) { return; }
  let first_quad = (thread.y * params.capacity + params.start + row) * ${headSize / 4}u;
  var sum: f32 = 0.0;
  for (var pair: u32 = 0u; pair < ${pairs}u; pair++) {
    let a = ${pairing === "adjacent" ? "2u * pair" : "pair"};
    let b = ${pairing === "adjacent" ? "a + 1u" : `a + ${pairs}u`};
    let key = vec2<f32>(
      load_kv(keys[first_quad + a / 4u])[a % 4u],
      load_kv(keys[first_quad + b / 4u])[b % 4u],
    );
    let turn = table[row * ${pairs}u + pair];
    // The table's lengths are not 1 where a model lengthens what it rotates.
    let plain = vec2<f32>(dot(key, turn), key.y * turn.x - key.x * turn.y) / dot(turn, turn);
    sum += plain.x * weight(a, s) + plain.y * weight(b, s);
  }
  sketches[(thread.y * params.capacity + row) * ${width}u + s] = sum;
}
`,
  };
}

/**
 * Bindings: sketches f32 `[kvHead][capacity][width]`, changed in place; scores f32 `[kvHead][capacity]`.
 * Grid: chunks, KV heads.
 */
export function leverageScores(headSize: number): Kernel {
  const width = sketchWidth(headSize);
  return {
    label: `leverage-scores-${headSize}`,
    bindings: ["write", "write"],
    wgsl: `
struct Params { length: u32, scored: u32, capacity: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sketches: array<f32>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;

// [row][column], of which the lower triangle counts.
var<workgroup> products: array<f32, ${width * width}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let first = workgroup.x * ${LEVERAGE_CHUNK}u;
  let count = min(${LEVERAGE_CHUNK}u, params.length - first);
  let sketch = (workgroup.y * params.capacity + first) * ${width}u;
  if (thread < ${width}u) {
    var sum: f32 = 0.0;
    for (var row: u32 = 0u; row < count; row++) { sum += sketches[sketch + row * ${width}u + thread]; }
    let mean = sum / f32(count);
    for (var row: u32 = 0u; row < count; row++) { sketches[sketch + row * ${width}u + thread] -= mean; }
  }
  storageBarrier();
  for (var i: u32 = thread; i < ${width * width}u; i += ${THREADS}u) {
    let a = i / ${width}u;
    let b = i % ${width}u;
    var sum: f32 = 0.0;
    if (b <= a) {
      for (var row: u32 = 0u; row < count; row++) {
        let at = sketch + row * ${width}u;
        sum += sketches[at + a] * sketches[at + b];
      }
    }
    products[i] = sum;
  }
  workgroupBarrier();
  var trace: f32 = 0.0;
  for (var i: u32 = 0u; i < ${width}u; i++) { trace += products[i * ${width + 1}u]; }
  workgroupBarrier();
  // Keys that are all the same have no leverage; 1 keeps the numbers finite.
  if (thread < ${width}u) {
    products[thread * ${width + 1}u] += select(1.0, trace * ${LEVERAGE_RIDGE / width}, trace > 0.0);
  }
  workgroupBarrier();
  for (var column: u32 = 0u; column < ${width}u; column++) {
    let root = sqrt(products[column * ${width + 1}u]);
    workgroupBarrier();
    if (thread == column) { products[column * ${width + 1}u] = root; }
    if (thread > column && thread < ${width}u) { products[thread * ${width}u + column] /= root; }
    workgroupBarrier();
    for (var i: u32 = thread; i < ${width * width}u; i += ${THREADS}u) {
      let a = i / ${width}u;
      let b = i % ${width}u;
      if (b > column && b <= a) { products[i] -= products[a * ${width}u + column] * products[b * ${width}u + column]; }
    }
    workgroupBarrier();
  }
  for (var row: u32 = thread; row < count; row += ${THREADS}u) {
    if (first + row >= params.scored) { continue; }
    var solved: array<f32, ${width}> = array<f32, ${width}>();
    var score: f32 = 0.0;
    for (var i: u32 = 0u; i < ${width}u; i++) {
      var left: f32 = sketches[sketch + row * ${width}u + i];
      for (var j: u32 = 0u; j < i; j++) { left -= products[i * ${width}u + j] * solved[j]; }
      solved[i] = left / products[i * ${width + 1}u];
      score += solved[i] * solved[i];
    }
    scores[workgroup.y * params.capacity + first + row] = score;
  }
}
`,
  };
}

/** One prompt of a pack, as these kernels see it. */
export interface LeverageShape {
  readonly kvHeadCount: number;
  readonly headSize: number;
  /** First row of the prompt in the keys, and its rows. */
  readonly start: number;
  readonly length: number;
  /** Rows that get a score, from the first on. */
  readonly scored: number;
  /** Rows of keys, sketches and scores per KV head. */
  readonly capacity: number;
}

/** Dispatches of {@link sketchKeys} and then {@link leverageScores}. */
export function leverageDispatches(
  { kvHeadCount, headSize, start, length, scored, capacity }: LeverageShape,
): { readonly sketch: Dispatch; readonly scores: Dispatch } {
  return {
    sketch: {
      params: [start, length, capacity],
      grid: [Math.ceil(length * sketchWidth(headSize) / THREADS), kvHeadCount],
    },
    scores: { params: [length, scored, capacity], grid: [Math.ceil(length / LEVERAGE_CHUNK), kvHeadCount] },
  };
}
