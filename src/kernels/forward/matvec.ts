/**
 * @file Matrix times a few vectors, for decoding: `y[m, n] = sum_k W[n, k] * x[m, k]`, with what surrounds it fused.
 *
 * Decoding reads every weight once per step, so the kernel is built around that read: a group of `lanes` threads walks
 * one or more rows of W, neighbouring threads loading neighbouring units, and every loaded unit is used for `batch`
 * vectors. Partial sums meet in workgroup memory behind a single barrier.
 *
 * Fused in front: RMSNorm. `W (x * g * r)` with the scalar `r = 1/sqrt(mean(x^2) + epsilon)` is `r * W (x * g)`, so the
 * sum of squares is gathered in the same loop and applied at the end. Fused behind: a bias, the residual connection
 * (`y += ...`), or the gated activation `silu(gate) * up` of SwiGLU (Shazeer, GLU Variants Improve Transformer, 2020).
 *
 * Bindings: planes of W; x f32 `[m, x_stride]`; then, if present, norm weight f32 `[x_stride]`; bias f32 `[rows]`; and
 * last y f32 `[m, y_stride]`. A gated matrix holds `rows` gate rows and then `rows` up rows.
 * Grid: (ceil(rows / rowsPerWorkgroup), ceil(m / batch)).
 */
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";
import { planeDeclarations, WEIGHT_FUNCTIONS, type WeightFormat } from "../weight_formats/weight_format.ts";

const THREADS = 64;

/** What a matrix-vector kernel is generated for. */
export interface MatvecVariant {
  readonly format: WeightFormat;
  /** Columns of W, padded. */
  readonly columns: number;
  /** Vectors per workgroup. */
  readonly batch: number;
  readonly norm: boolean;
  readonly bias: boolean;
  readonly epilogue: "store" | "residual" | "gated";
}

/** A generated kernel and how much of the output one workgroup of it makes. */
export interface MatvecKernel extends Kernel {
  readonly rowsPerWorkgroup: number;
  readonly batch: number;
}

/** Rows per thread: each loaded vector of x serves all of them. */
const ROWS = 4;

/** Threads that share a row: at most 32, each with at least four units, beside which the sum over lanes is small. */
function lanesFor(units: number): number {
  let lanes = 1;
  while (lanes < 32 && lanes * 8 <= units) lanes *= 2;
  return lanes;
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Generates the kernel of a variant. */
export function matvecKernel({ format, columns, batch, norm, bias, epilogue }: MatvecVariant): MatvecKernel {
  const { unit } = format;
  const vectors = unit / 4;
  const units = columns / unit;
  const lanes = lanesFor(units);
  const groups = THREADS / lanes;
  const gated = epilogue === "gated";
  const outputRows = gated ? ROWS / 2 : ROWS;
  const planes = format.planes.length;
  const names = ["x", ...(norm ? ["norm_weight"] : []), ...(bias ? ["bias"] : [])];
  const sums = ROWS * batch;

  const rowIndex = (r: number) =>
    gated && r >= outputRows
      ? `params.rows + min(row + ${r - outputRows}u, params.rows - 1u)`
      : `min(row + ${r}u, params.rows - 1u)`;
  const loadRow = (r: number) => format.load(`(row${r} + unit)`, String(r)).replace(/^\s+/, "");

  /** One vector is loaded and normalised as a whole, and multiplied with one row after the other. */
  const multiplyOne = () => [
    ...range(vectors).map((i) =>
      norm
        ? `let raw${i} = x[x0 + at + ${i}u]; square0 += dot(raw${i}, raw${i}); let x0_${i} = raw${i} * norm_weight[at + ${i}u];`
        : `let x0_${i} = x[x0 + at + ${i}u];`
    ),
    format.hasOffset ? `let total = dot(${range(vectors).map((i) => `x0_${i}`).join(" + ")}, vec4<f32>(1.0));` : "",
    ...range(ROWS).map((r) => {
      const dots = range(vectors).map((i) => `dot(q${r}_${i}, x0_${i})`).join(" + ");
      const scaled = format.hasScale ? `scale${r} * (${dots})` : dots;
      return `{ ${loadRow(r)}
      sum${r}_0 += ${scaled}${format.hasOffset ? ` + offset${r} * total` : ""}; }`;
    }),
  ];
  /** Many vectors are loaded four elements at a time; the norm's weights go into the rows, which are fewer. */
  const multiplyMany = () => [
    ...range(ROWS).map(loadRow),
    ...range(vectors).map((i) => {
      const row = (r: number) =>
        `let w${r} = (q${r}_${i}${format.hasScale ? ` * scale${r}` : ""}${format.hasOffset ? ` + offset${r}` : ""})${
          norm ? " * g" : ""
        };`;
      const vector = (m: number) =>
        `{ let v = x[x${m} + at + ${i}u]; ${norm ? `square${m} += dot(v, v); ` : ""}${
          range(ROWS).map((r) => `sum${r}_${m} += dot(w${r}, v);`).join(" ")
        } }`;
      return `{ ${norm ? `let g = norm_weight[at + ${i}u]; ` : ""}${range(ROWS).map(row).join(" ")}
      ${range(batch).map(vector).join("\n      ")} }`;
    }),
  ];

  const total = (slot: string) =>
    `for (var lane: u32 = 0u; lane < ${lanes}u; lane++) { $ += partial[(${slot}) * ${THREADS}u + group * ${lanes}u + lane]; }`;
  const store = {
    store: "y[at] = value;",
    residual: "y[at] += value;",
    gated: `var up: f32 = 0.0;
    ${total(`(r + ${outputRows}u) * ${batch}u + m`).replace("$", "up")}
    up *= scale;
    y[at] = value / (1.0 + exp(-value)) * up;`,
  }[epilogue];

  return {
    label: `matvec ${format.type} ${columns} x${batch}${norm ? " norm" : ""}${bias ? " bias" : ""} ${epilogue}`,
    bindings: [...format.planes.map(() => "read" as const), ...names.map(() => "read" as const), "write"],
    rowsPerWorkgroup: groups * outputRows,
    batch,
    wgsl: `
struct Params { rows: u32, count: u32, x_stride4: u32, y_stride: u32, y_offset: u32, width: f32, epsilon: f32 }
@group(0) @binding(0) var<uniform> params: Params;
${planeDeclarations(format, 1)}
${
      names.map((name, index) =>
        `@group(0) @binding(${1 + planes + index}) var<storage, read> ${name}: array<${
          name === "bias" ? "f32" : "vec4<f32>"
        }>;`
      ).join("\n")
    }
@group(0) @binding(${1 + planes + names.length}) var<storage, read_write> y: array<f32>;

var<workgroup> partial: array<f32, ${(sums + (norm ? batch : 0)) * THREADS}>;
${format.hasScale ? WEIGHT_FUNCTIONS : ""}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = (workgroup.x * ${groups}u + thread / ${lanes}u) * ${outputRows}u;
  let first = workgroup.y * ${batch}u;
  ${range(ROWS).map((r) => `let row${r} = (${rowIndex(r)}) * ${units}u;`).join("\n  ")}
  ${range(batch).map((m) => `let x${m} = min(first + ${m}u, params.count - 1u) * params.x_stride4;`).join("\n  ")}
  ${range(ROWS).flatMap((r) => range(batch).map((m) => `var sum${r}_${m}: f32 = 0.0;`)).join(" ")}
  ${norm ? range(batch).map((m) => `var square${m}: f32 = 0.0;`).join(" ") : ""}
  for (var unit: u32 = thread % ${lanes}u; unit < ${units}u; unit += ${lanes}u) {
    let at = unit * ${vectors}u;
    ${(batch === 1 ? multiplyOne() : multiplyMany()).join("\n    ")}
  }
  ${
      range(ROWS).flatMap((r) =>
        range(batch).map((m) => `partial[${(r * batch + m) * THREADS}u + thread] = sum${r}_${m};`)
      ).join(" ")
    }
  ${norm ? range(batch).map((m) => `partial[${(sums + m) * THREADS}u + thread] = square${m};`).join(" ") : ""}
  workgroupBarrier();
  for (var output: u32 = thread; output < ${groups * outputRows * batch}u; output += ${THREADS}u) {
    let group = output / ${outputRows * batch}u;
    let r = output / ${batch}u % ${outputRows}u;
    let m = output % ${batch}u;
    let n = (workgroup.x * ${groups}u + group) * ${outputRows}u + r;
    if (n >= params.rows || first + m >= params.count) { continue; }
    var value: f32 = 0.0;
    ${total(`r * ${batch}u + m`).replace("$", "value")}
    ${
      norm
        ? `var squares: f32 = 0.0;
    ${total(`${sums}u + m`).replace("$", "squares")}
    let scale = inverseSqrt(squares / params.width + params.epsilon);
    value *= scale;`
        : "let scale = 1.0;"
    }
    ${bias ? "value += bias[params.y_offset + n];" : ""}
    let at = (first + m) * params.y_stride + params.y_offset + n;
    ${store}
  }
}
`,
  };
}

/** One product of a matrix and a few vectors. */
export interface MatvecShape {
  /** The kernel that makes it, which knows how much of it a workgroup makes. */
  readonly kernel: MatvecKernel;
  /** Rows of W that make outputs: a gated matrix has twice as many. */
  readonly rows: number;
  /** Vectors. */
  readonly count: number;
  /** Elements between vectors of x; a multiple of 4. */
  readonly xStride: number;
  /** Elements between rows of y. */
  readonly yStride: number;
  /** Column of y that row 0 goes to. */
  readonly yOffset: number;
  /** Elements of x that the norm counts, and its epsilon; where there is one. */
  readonly width?: number;
  readonly epsilon?: number;
}

/** A dispatch of a {@link matvecKernel}. */
export function matvecDispatch(
  { kernel, rows, count, xStride, yStride, yOffset, width = 1, epsilon = 0 }: MatvecShape,
): Dispatch {
  return {
    params: [rows, count, xStride / 4, yStride, yOffset, floatBits(width), floatBits(epsilon)],
    grid: [Math.ceil(rows / kernel.rowsPerWorkgroup), Math.ceil(count / kernel.batch)],
  };
}
