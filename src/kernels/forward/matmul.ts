/**
 * @file Matrix times many vectors, for prefill: `y[m, n] = sum_k W[n, k] * x[m, k]`.
 *
 * A workgroup makes a tile of 64 x 64 outputs. It stages 32 columns of both operands in workgroup memory, weights decoded
 * once, and every thread keeps an 8 x 8 block of sums in registers: 16 loads serve 64 dot products of four.
 *
 *              W rows n ->            thread (tx, ty) of 8 x 8 owns the outputs
 *        +-----------------+          rows ty + 8 i, columns tx + 8 j
 *      x |                 |
 *   rows |   64 x 64 tile  |          Vector k of tile row m is stored at k ^ (m & 7), so that threads
 *      m |                 |          that read different rows do not meet in one memory bank.
 *
 * Where subgroups have eight threads, threads of one ty are a subgroup. Each then loads one of their eight rows of x, which
 * go round by broadcast instead of workgroup memory: why, says subgroup_prefill_attention.ts.
 *
 * Bindings: planes of W; x f32 `[m, x_stride]`; bias f32 `[rows]` if present; y f32 `[m, y_stride]`.
 * Grid: (ceil(rows / 64), ceil(m / 64)).
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import {
  COLUMN_MULTIPLE,
  planeDeclarations,
  WEIGHT_FUNCTIONS,
  type WeightFormat,
} from "../weight_formats/weight_format.ts";

/** Rows and columns of y that a workgroup makes. */
const MATMUL_TILE = 64;
const THREADS_PER_SIDE = 8;
const THREADS = THREADS_PER_SIDE * THREADS_PER_SIDE;
const PER_THREAD = MATMUL_TILE / THREADS_PER_SIDE;
/** vec4 of a staged row: eight, as the swizzle of the tiles takes for granted. */
const ROW_VECTORS = COLUMN_MULTIPLE / 4;

export interface MatmulVariant {
  readonly format: WeightFormat;
  readonly bias: boolean;
  readonly epilogue: "store" | "residual";
  /** Threads of the adapter's subgroups, if kernels may rely on it. */
  readonly subgroupSize?: number;
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Generates the kernel of a variant. */
export function matmulKernel({ format, bias, epilogue, subgroupSize }: MatmulVariant): Kernel {
  const { unit } = format;
  const unitsPerRow = COLUMN_MULTIPLE / unit;
  const planes = format.planes.length;
  const broadcasts = subgroupSize === THREADS_PER_SIDE;
  const decoded = (i: number) =>
    `q_${i}${format.hasScale ? " * scale" : ""}${format.hasOffset ? " + vec4<f32>(offset)" : ""}`;
  return {
    label: `matmul ${format.type}${bias ? " bias" : ""} ${epilogue}${broadcasts ? " broadcast" : ""}`,
    bindings: [...format.planes.map(() => "read" as const), "read", ...(bias ? ["read" as const] : []), "write"],
    wgsl: `
struct Params { rows: u32, count: u32, column_tiles: u32, x_stride4: u32, y_stride: u32, y_offset: u32, y_first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
${planeDeclarations(format, 1)}
@group(0) @binding(${1 + planes}) var<storage, read> x: array<vec4<f32>>;
${bias ? `@group(0) @binding(${2 + planes}) var<storage, read> bias: array<f32>;` : ""}
@group(0) @binding(${2 + planes + (bias ? 1 : 0)}) var<storage, read_write> y: array<f32>;

${broadcasts ? "" : `var<workgroup> x_tile: array<vec4<f32>, ${MATMUL_TILE * ROW_VECTORS}>;`}
var<workgroup> w_tile: array<vec4<f32>, ${MATMUL_TILE * ROW_VECTORS}>;
${format.hasScale ? WEIGHT_FUNCTIONS : ""}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tx = thread % ${THREADS_PER_SIDE}u;
  let ty = thread / ${THREADS_PER_SIDE}u;
  let first_n = workgroup.x * ${MATMUL_TILE}u;
  let first_m = workgroup.y * ${MATMUL_TILE}u;
  ${range(PER_THREAD).flatMap((i) => range(PER_THREAD).map((j) => `var s${i}_${j}: f32 = 0.0;`)).join(" ")}
  for (var tile: u32 = 0u; tile < params.column_tiles; tile++) {
    ${
      broadcasts
        ? `let m = min(first_m + ty + tx * ${THREADS_PER_SIDE}u, params.count - 1u);
    let own = m * params.x_stride4 + tile * ${ROW_VECTORS}u;`
        : `for (var i: u32 = 0u; i < ${MATMUL_TILE * ROW_VECTORS / THREADS}u; i++) {
      let index = i * ${THREADS}u + thread;
      let m = index / ${ROW_VECTORS}u;
      let k = index % ${ROW_VECTORS}u;
      let source = min(first_m + m, params.count - 1u) * params.x_stride4 + tile * ${ROW_VECTORS}u + k;
      x_tile[m * ${ROW_VECTORS}u + (k ^ (m & 7u))] = x[source];
    }`
    }
    for (var i: u32 = 0u; i < ${MATMUL_TILE * unitsPerRow / THREADS}u; i++) {
      let index = i * ${THREADS}u + thread;
      let n = index / ${unitsPerRow}u;
      let u = index % ${unitsPerRow}u;
      let unit = (min(first_n + n, params.rows - 1u) * params.column_tiles + tile) * ${unitsPerRow}u + u;
      let row = n * ${ROW_VECTORS}u;
      ${format.load("unit", "")}
      ${
      range(unit / 4).map((i) => `w_tile[row + ((u * ${unit / 4}u + ${i}u) ^ (n & 7u))] = ${decoded(i)};`).join(
        "\n      ",
      )
    }
    }
    workgroupBarrier();
    for (var k: u32 = 0u; k < ${ROW_VECTORS}u; k++) {
      ${
      broadcasts
        ? `let own_x = x[own + k]; ${
          range(PER_THREAD).map((i) => `let x${i} = subgroupBroadcast(own_x, ${i}u);`).join(" ")
        }`
        : range(PER_THREAD).map((i) =>
          `let x${i} = x_tile[(ty + ${i * THREADS_PER_SIDE}u) * ${ROW_VECTORS}u + (k ^ ty)];`
        )
          .join(
            "\n      ",
          )
    }
      ${
      range(PER_THREAD).map((j) =>
        `{ let w = w_tile[(tx + ${j * THREADS_PER_SIDE}u) * ${ROW_VECTORS}u + (k ^ tx)]; ${
          range(PER_THREAD).map((i) => `s${i}_${j} += dot(x${i}, w);`).join(" ")
        } }`
      ).join("\n      ")
    }
    }
    workgroupBarrier();
  }
  ${
      range(PER_THREAD).map((i) =>
        `{
    let m = first_m + ty + ${i * THREADS_PER_SIDE}u;
    if (m < params.count) {
      ${
          range(PER_THREAD).map((j) =>
            `{ let n = first_n + tx + ${j * THREADS_PER_SIDE}u; if (n < params.rows) { let value = s${i}_${j}${
              bias ? " + bias[params.y_offset + n]" : ""
            }; let at = (params.y_first + m) * params.y_stride + params.y_offset + n; y[at] ${
              epilogue === "residual" ? "+=" : "="
            } value; } }`
          ).join("\n      ")
        }
    }
  }`
      ).join("\n  ")
    }
}
`,
  };
}

/** One matrix product. */
export interface MatmulShape {
  /** Rows of W. */
  readonly rows: number;
  /** Columns of W, padded. */
  readonly columns: number;
  /** Vectors. */
  readonly count: number;
  /** Elements between vectors of x; a multiple of 4. */
  readonly xStride: number;
  /** Elements between rows of y. */
  readonly yStride: number;
  /** Column of y that row 0 of W goes to; 0 if not given. */
  readonly yOffset?: number;
  /** Row of y that vector 0 goes to; 0 if not given. */
  readonly yFirst?: number;
}

/** A dispatch of a {@link matmulKernel}. */
export function matmulDispatch(
  { rows, columns, count, xStride, yStride, yOffset = 0, yFirst = 0 }: MatmulShape,
): Dispatch {
  return {
    params: [rows, count, columns / COLUMN_MULTIPLE, xStride / 4, yStride, yOffset, yFirst],
    grid: [Math.ceil(rows / MATMUL_TILE), Math.ceil(count / MATMUL_TILE)],
  };
}
