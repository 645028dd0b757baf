/**
 * @file Causal attention of a tile of prompt rows over their prompts' keys so far, with an online softmax.
 *
 * Several prompts are packed one after the other; row r attends to rows `start(r)..r`. A workgroup takes 32 query rows of
 * one head and walks the keys in tiles of 32:
 *
 *     scores 32 x 32   each of 8 x 8 threads makes 4 x 4 of them, straight from memory (neighbours share cache lines)
 *     softmax          32 threads, one a row: running maximum and sum (Milakov and Gimelshein, 2018)
 *     output 32 x d    each thread keeps 4 rows x d/8 columns in registers, rescaled as the maximum moves
 *
 * Dao, FlashAttention-2, 2023.
 *
 * Bindings: q f32 `[m, queryHeads * headSize]`; keys and values `[kvHeads, capacity, headSize]`; rows vec4<u32>
 * `[pack row]` (position, first row of its prompt, _, _); output f32 `[m, outStride]`.
 * Grid: (ceil(m / 32), queryHeads).
 */
import type { Kernel } from "../gpu/gpu.ts";
import { floatBits } from "../gpu/recorder.ts";
import { type KvElement, kvFunctions, kvVec4Type } from "./kv_element.ts";

const TILE = 32;
const SIDE = 8;
const THREADS = SIDE * SIDE;
const PER_THREAD = TILE / SIDE;
const SCORE_STRIDE = TILE + 1;

export interface PrefillAttentionVariant {
  readonly element: KvElement;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Generates the kernel of a variant. */
export function prefillAttentionKernel(variant: PrefillAttentionVariant): Kernel {
  const { element, queryHeads, kvHeads, headSize } = variant;
  const vectors = headSize / 4;
  const columns = Math.ceil(vectors / SIDE);
  const stored = kvVec4Type(element);
  // A head of fewer than eight vectors leaves threads without columns: they load column 0 and store nothing.
  const column = (c: number) =>
    (c + 1) * SIDE <= vectors ? `tx + ${c * SIDE}u` : `min(tx + ${c * SIDE}u, ${vectors - 1}u)`;
  return {
    label: `prefill attention ${element} ${queryHeads}/${kvHeads}x${headSize}`,
    bindings: ["read", "read", "read", "read", "write"],
    wgsl: `
struct Params { first_row: u32, count: u32, capacity: u32, scale: f32, out_stride4: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> keys: array<${stored}>;
@group(0) @binding(3) var<storage, read> values: array<${stored}>;
@group(0) @binding(4) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> output: array<vec4<f32>>;

var<workgroup> scores: array<f32, ${TILE * SCORE_STRIDE}>;
var<workgroup> rescale: array<f32, ${TILE}>;
${kvFunctions(element)}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tx = thread % ${SIDE}u;
  let ty = thread / ${SIDE}u;
  let head = workgroup.y;
  let first = workgroup.x * ${TILE}u;
  let last = min(first + ${TILE}u, params.count) - 1u;
  let base = head / ${queryHeads / kvHeads}u * params.capacity;
  // Prompts are packed in order, so the first row's prompt starts first.
  let key_begin = rows[params.first_row + first].y;
  let key_end = params.first_row + last + 1u;
  ${
      range(PER_THREAD).map((i) =>
        `let m${i} = min(first + ty * ${PER_THREAD}u + ${i}u, last);
  let query${i} = (m${i} * ${queryHeads}u + head) * ${vectors}u;
  let row${i} = params.first_row + m${i};
  let start${i} = rows[row${i}].y;`
      ).join("\n  ")
    }
  ${
      range(PER_THREAD).flatMap((i) => range(columns).map((c) => `var o${i}_${c}: vec4<f32> = vec4<f32>(0.0);`)).join(
        " ",
      )
    }
  // The softmax state of row \`thread\`, in the threads that own one. Finite, so that no difference is a NaN.
  var row_max: f32 = -1e30;
  var row_sum: f32 = 0.0;
  for (var tile: u32 = key_begin; tile < key_end; tile += ${TILE}u) {
    ${
      range(PER_THREAD).map((j) =>
        `let key${j} = tile + tx + ${j * SIDE}u;
    let at${j} = (base + min(key${j}, key_end - 1u)) * ${vectors}u;`
      ).join("\n    ")
    }
    ${range(PER_THREAD).flatMap((i) => range(PER_THREAD).map((j) => `var s${i}_${j}: f32 = 0.0;`)).join(" ")}
    for (var d: u32 = 0u; d < ${vectors}u; d++) {
      ${range(PER_THREAD).map((i) => `let q${i} = q[query${i} + d];`).join(" ")}
      ${
      range(PER_THREAD).map((j) =>
        `{ let k = load_kv(keys[at${j} + d]); ${
          range(PER_THREAD).map((i) => `s${i}_${j} += dot(q${i}, k);`).join(" ")
        } }`
      ).join("\n      ")
    }
    }
    ${
      range(PER_THREAD).flatMap((i) =>
        range(PER_THREAD).map((j) =>
          `scores[(ty * ${PER_THREAD}u + ${i}u) * ${SCORE_STRIDE}u + tx + ${
            j * SIDE
          }u] = select(-1e30, s${i}_${j} * params.scale, key${j} >= start${i} && key${j} <= row${i});`
        )
      ).join("\n    ")
    }
    workgroupBarrier();
    if (thread < ${TILE}u) {
      let line = thread * ${SCORE_STRIDE}u;
      var tile_max: f32 = row_max;
      for (var j: u32 = 0u; j < ${TILE}u; j++) { tile_max = max(tile_max, scores[line + j]); }
      let shrink = exp(row_max - tile_max);
      var sum: f32 = 0.0;
      for (var j: u32 = 0u; j < ${TILE}u; j++) {
        let p = exp(scores[line + j] - tile_max);
        scores[line + j] = p;
        sum += p;
      }
      row_sum = row_sum * shrink + sum;
      row_max = tile_max;
      rescale[thread] = shrink;
    }
    workgroupBarrier();
    ${
      range(PER_THREAD).map((i) =>
        `{ let shrink = rescale[ty * ${PER_THREAD}u + ${i}u]; ${
          range(columns).map((c) => `o${i}_${c} *= shrink;`).join(" ")
        } }`
      ).join("\n    ")
    }
    let keys_here = min(${TILE}u, key_end - tile);
    for (var j: u32 = 0u; j < keys_here; j++) {
      let value = (base + tile + j) * ${vectors}u;
      ${
      range(PER_THREAD).map((i) => `let p${i} = scores[(ty * ${PER_THREAD}u + ${i}u) * ${SCORE_STRIDE}u + j];`).join(
        "\n      ",
      )
    }
      ${
      range(columns).map((c) =>
        `{ let v = load_kv(values[value + ${column(c)}]); ${
          range(PER_THREAD).map((i) => `o${i}_${c} += p${i} * v;`).join(" ")
        } }`
      ).join("\n      ")
    }
    }
    workgroupBarrier();
  }
  if (thread < ${TILE}u) { rescale[thread] = 1.0 / row_sum; }
  workgroupBarrier();
  ${
      range(PER_THREAD).map((i) =>
        `if (first + ty * ${PER_THREAD}u + ${i}u <= last) {
    let at = m${i} * params.out_stride4 + head * ${vectors}u;
    let norm = rescale[ty * ${PER_THREAD}u + ${i}u];
    ${
          range(columns).map((c) =>
            `if (tx + ${c * SIDE}u < ${vectors}u) { output[at + tx + ${c * SIDE}u] = o${i}_${c} * norm; }`
          ).join("\n    ")
        }
  }`
      ).join("\n  ")
    }
}
`,
  };
}

/** Grid and parameters for `count` rows of q, the first of which is `firstRow` of the pack. */
export function prefillAttentionDispatch(
  { queryHeads, headSize }: PrefillAttentionVariant,
  { firstRow, count, capacity, outStride }: { firstRow: number; count: number; capacity: number; outStride: number },
): { params: number[]; grid: [number, number] } {
  return {
    params: [firstRow, count, capacity, floatBits(1 / Math.sqrt(headSize)), outStride / 4],
    grid: [Math.ceil(count / TILE), queryHeads],
  };
}
