/**
 * @file The mean of rows after the final norm: what the tokens of a text come to, as one vector.
 *
 *     output[target, k] = mean_m(input[first + m, k] / sqrt(mean_k(input[first + m, k]^2) + epsilon)) * weight[k]
 */
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";

/** Threads that share the columns of every row. */
const THREADS = 64;

/**
 * Bindings: input f32 `[rows, stride]`, weight f32 `[stride]` (zero beyond `width`), output f32 `[rows, stride]`.
 * Grid: one workgroup, which takes the rows one after the other.
 */
export const poolRows: Kernel = {
  label: "pool-rows",
  bindings: ["read", "read", "write"],
  wgsl: `
struct Params { stride4: u32, width: f32, epsilon: f32, first_row: u32, count: u32, target_row: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>;

var<workgroup> partial: array<f32, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) thread: u32) {
  let target_row = params.target_row * params.stride4;
  for (var k: u32 = thread; k < params.stride4; k += ${THREADS}u) { output[target_row + k] = vec4<f32>(0.0); }
  for (var row: u32 = 0u; row < params.count; row++) {
    let source = (params.first_row + row) * params.stride4;
    var sum: f32 = 0.0;
    for (var k: u32 = thread; k < params.stride4; k += ${THREADS}u) {
      let x = input[source + k];
      sum += dot(x, x);
    }
    partial[thread] = sum;
    workgroupBarrier();
    var total: f32 = 0.0;
    for (var i: u32 = 0u; i < ${THREADS}u; i++) { total += partial[i]; }
    // Before the next row's sums: all threads have read these.
    workgroupBarrier();
    let scale = inverseSqrt(total / params.width + params.epsilon) / f32(params.count);
    for (var k: u32 = thread; k < params.stride4; k += ${THREADS}u) {
      output[target_row + k] += input[source + k] * weight[k] * scale;
    }
  }
}
`,
};

/** The rows that {@link poolRows} takes. */
export interface PoolRowsShape {
  /** Elements from one row to the next; a multiple of 4, elements beyond `width` zero. */
  readonly stride: number;
  /** Elements of a row that count. */
  readonly width: number;
  /** Added to the mean of a row's squares. */
  readonly epsilon: number;
  readonly firstRow: number;
  /** Rows; at least one. */
  readonly count: number;
  /** Row of the output. */
  readonly targetRow: number;
}

/** A dispatch of {@link poolRows}. */
export function poolRowsDispatch({ stride, width, epsilon, firstRow, count, targetRow }: PoolRowsShape): Dispatch {
  return { params: [stride / 4, floatBits(width), floatBits(epsilon), firstRow, count, targetRow], grid: [1] };
}
