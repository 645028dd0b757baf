/**
 * @file RoPE with KV write: takes the projected queries, keys and values of some rows, normalises queries and keys per
 * head where the model does (Qwen3), rotates them, and stores keys and values where attention will read them.
 *
 * Two destinations. While decoding, a row goes to its sequence's next slot in the pool (`pages`); in prefill, to the
 * layer's scratch (`scratch`), and the last queries of each prompt also go to the observation windows.
 *
 * A thread handles eight elements of a head: two runs of four whose elements pair up, so that stores are whole words.
 *
 *     adjacent pairing: elements 8t..8t+7, pairs (2i, 2i+1)     halves: 4t..4t+3 with d/2+4t..d/2+4t+3, pairs (i, i+d/2)
 *
 * Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021.
 */
import { BLOCK_ROWS, PACKED } from "../../cache/block.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits, type Grid } from "../../gpu/recorder.ts";
import { type KvElement, kvFunctions, kvVec4Type } from "../kv_element.ts";

const THREADS = 64;

/** Marks a row outside every observation window. */
export const NO_WINDOW = 0xffffffff;

export interface RotateVariant {
  readonly destination: "pages" | "scratch";
  readonly element: KvElement;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly pairing: "adjacent" | "halves";
  readonly queryKeyNorm: boolean;
}

/**
 * Generates the kernel of a variant.
 *
 * Bindings of both: qkv f32 `[m, stride]` (queries, keys, values side by side); table vec2 (cos, sin)
 * `[context, headSize / 2]`; norms f32 `[2, headSize]` (query, key) if `queryKeyNorm`; q out f32 `[m, queryHeads * headSize]`.
 *
 * `pages` adds: rows vec4<u32> `[m]` (slot, position, table offset, 0) before q; layerRows vec2<u32> `[layer, m]`
 * (ranked or PACKED | ranked blocks, recent) and tables u32 before q; the arena after it.
 *
 * `scratch` adds: rows vec4<u32> `[pack row]` (position, first row of its prompt, row in windowQueries or NO_WINDOW, 0)
 * before q; keys and values `[kvHeads, capacity, headSize]` and windowQueries f32 `[.., queryHeads * headSize]` after it.
 *
 * Grid: (ceil((queryHeads + 2 kvHeads) * headSize / 8 / 64), m).
 */
export function rotateKernel(variant: RotateVariant): Kernel {
  const { destination, element, queryHeads, kvHeads, headSize, pairing, queryKeyNorm } = variant;
  const vectors = headSize / 4;
  const threadsPerHead = headSize / 8;
  const pages = destination === "pages";
  const stored = kvVec4Type(element);
  const inputs = [
    ["qkv", "vec4<f32>"],
    ["table", pairing === "adjacent" ? "vec4<f32>" : "vec2<f32>"],
    ...(queryKeyNorm ? [["norms", "vec4<f32>"]] : []),
    ["rows", "vec4<u32>"],
    ...(pages ? [["layer_rows", "vec2<u32>"], ["tables", "u32"]] : []),
  ];
  const outputs = [
    ["q", "vec4<f32>"],
    ...(pages ? [["arena", stored]] : [["keys", stored], ["values", stored], ["window_queries", "vec4<f32>"]]),
  ];
  const declare = (names: string[][], first: number, access: string) =>
    names.map(([name, type], i) => `@group(0) @binding(${first + i}) var<storage, ${access}> ${name}: array<${type}>;`)
      .join("\n");
  const [low, high] = pairing === "adjacent" ? ["2u * t", "2u * t + 1u"] : ["t", `t + ${threadsPerHead}u`];
  // (x0, x1) -> (x0 cos - x1 sin, x0 sin + x1 cos)
  const rotation = pairing === "adjacent"
    ? `let angle = position * ${headSize / 4}u + 2u * t;
    let c0 = table[angle];
    let c1 = table[angle + 1u];
    a = vec4<f32>(a.x * c0.x - a.y * c0.y, a.x * c0.y + a.y * c0.x, a.z * c0.z - a.w * c0.w, a.z * c0.w + a.w * c0.z);
    b = vec4<f32>(b.x * c1.x - b.y * c1.y, b.x * c1.y + b.y * c1.x, b.z * c1.z - b.w * c1.w, b.z * c1.w + b.w * c1.z);`
    : `let angle = position * ${headSize / 2}u + 4u * t;
    let c0 = table[angle];
    let c1 = table[angle + 1u];
    let c2 = table[angle + 2u];
    let c3 = table[angle + 3u];
    let cosine = vec4<f32>(c0.x, c1.x, c2.x, c3.x);
    let sine = vec4<f32>(c0.y, c1.y, c2.y, c3.y);
    let turned = a * cosine - b * sine;
    b = a * sine + b * cosine;
    a = turned;`;
  const place = pages
    ? `let lengths = layer_rows[params.layer * params.count_max + m];
    let recent = lengths.y + params.step;
    let blocks_of_rows = (lengths.x + ${BLOCK_ROWS - 1}u) / ${BLOCK_ROWS}u;
    let ranked_blocks = select(blocks_of_rows, lengths.x & ~${PACKED}u, (lengths.x & ${PACKED}u) != 0u);
    let block = tables[info.z + params.layer * params.table_stride + ranked_blocks + recent / ${BLOCK_ROWS}u];
    let at = (((block * ${kvHeads}u + kv_head) * 2u + is_value) * ${BLOCK_ROWS}u + recent % ${BLOCK_ROWS}u) * ${vectors}u;
    arena[at + low] = store_kv(a);
    arena[at + high] = store_kv(b);`
    : `let at = (kv_head * params.capacity + row) * ${vectors}u;
    if (is_value == 0u) {
      keys[at + low] = store_kv(a);
      keys[at + high] = store_kv(b);
    } else {
      values[at + low] = store_kv(a);
      values[at + high] = store_kv(b);
    }`;
  return {
    label: `rotate ${destination} ${element} ${queryHeads}/${kvHeads}x${headSize} ${pairing}${
      queryKeyNorm ? " norm" : ""
    }`,
    bindings: [...inputs.map(() => "read" as const), ...outputs.map(() => "write" as const)],
    wgsl: `
struct Params {
  first_row: u32, qkv_stride4: u32, epsilon: f32, position_limit: u32,
  ${pages ? "layer: u32, step: u32, count_max: u32, table_stride: u32" : "capacity: u32"}
}
@group(0) @binding(0) var<uniform> params: Params;
${declare(inputs, 1, "read")}
${declare(outputs, 1 + inputs.length, "read_write")}
${kvFunctions(element)}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let head = thread.x / ${threadsPerHead}u;
  if (head >= ${queryHeads + 2 * kvHeads}u) { return; }
  let t = thread.x % ${threadsPerHead}u;
  let row = params.first_row + thread.y;
  let m = ${pages ? "row" : "thread.y"};
  let info = rows[row];
  let low = ${low};
  let high = ${high};
  let source = m * params.qkv_stride4 + head * ${vectors}u;
  var a: vec4<f32> = qkv[source + low];
  var b: vec4<f32> = qkv[source + high];
  if (head < ${queryHeads + kvHeads}u) {
    ${
      queryKeyNorm
        ? `var squares: f32 = 0.0;
    for (var i: u32 = 0u; i < ${vectors}u; i++) { let x = qkv[source + i]; squares += dot(x, x); }
    let scale = inverseSqrt(squares / ${headSize}.0 + params.epsilon);
    let norm = select(${vectors}u, 0u, head < ${queryHeads}u);
    a *= scale * norms[norm + low];
    b *= scale * norms[norm + high];`
        : ""
    }
    let position = min(${pages ? "info.y + params.step" : "info.x"}, params.position_limit - 1u);
    ${rotation}
  }
  if (head < ${queryHeads}u) {
    let at = m * ${queryHeads * vectors}u + head * ${vectors}u;
    q[at + low] = a;
    q[at + high] = b;
    ${
      pages ? "" : `if (info.z != ${NO_WINDOW}u) {
      let window = info.z * ${queryHeads * vectors}u + head * ${vectors}u;
      window_queries[window + low] = a;
      window_queries[window + high] = b;
    }`
    }
  } else {
    let kv_head = (head - ${queryHeads}u) % ${kvHeads}u;
    let is_value = (head - ${queryHeads}u) / ${kvHeads}u;
    ${place}
  }
}
`,
  };
}

/** What both kinds of {@link rotateKernel} need. */
interface RotateShape {
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** `scratch`: the pack row that row 0 of qkv and q is. `pages`: the first row of qkv, q and `rows` alike. */
  readonly firstRow: number;
  /** Rows. */
  readonly count: number;
  /** Elements between rows of qkv. */
  readonly qkvStride: number;
  /** Epsilon of the query and key norm. */
  readonly epsilon: number;
  /** Rows of the cos/sin table. */
  readonly positionLimit: number;
}

/** What a {@link rotateKernel} with the destination `pages` rotates, and where it goes. */
export interface RotatePagesShape extends RotateShape {
  readonly layer: number;
  /** Steps of this submit before this one. */
  readonly step: number;
  /** Row length of layerRows: batch rows per layer. */
  readonly countMax: number;
  /** Words of the tables per layer. */
  readonly tableStride: number;
}

/** What a {@link rotateKernel} with the destination `scratch` rotates, and where it goes. */
export interface RotateScratchShape extends RotateShape {
  /** Rows from one head to the next in keys and values. */
  readonly capacity: number;
}

/** A dispatch of a {@link rotateKernel} with the destination `pages`. */
export function rotatePagesDispatch(shape: RotatePagesShape): Dispatch {
  const { firstRow, qkvStride, epsilon, positionLimit, layer, step, countMax, tableStride } = shape;
  return {
    params: [firstRow, qkvStride / 4, floatBits(epsilon), positionLimit, layer, step, countMax, tableStride],
    grid: rotateGrid(shape),
  };
}

/** A dispatch of a {@link rotateKernel} with the destination `scratch`. */
export function rotateScratchDispatch(shape: RotateScratchShape): Dispatch {
  const { firstRow, qkvStride, epsilon, positionLimit, capacity } = shape;
  return {
    params: [firstRow, qkvStride / 4, floatBits(epsilon), positionLimit, capacity],
    grid: rotateGrid(shape),
  };
}

function rotateGrid({ queryHeads, kvHeads, headSize, count }: RotateShape): Grid {
  return [Math.ceil((queryHeads + 2 * kvHeads) * headSize / 8 / THREADS), count];
}
