/**
 * @file RMSNorm of many rows: `output[m, k] = input[m, k] * weight[k] / sqrt(mean_k(input[m, k]^2) + epsilon)`.
 *
 * Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";

/** Threads that share one row, and each of which adds up the sums of all. */
const THREADS = 32;

/**
 * Bindings: input f32 `[rows, stride]`, weight f32 `[stride]` (zero beyond `width`), output f32 `[rows, stride]`.
 * Grid: one workgroup a row.
 */
export const rmsNorm: Kernel = {
  label: "rms-norm",
  bindings: ["read", "read", "write"],
  wgsl: `
struct Params { stride4: u32, width: f32, epsilon: f32, first_row: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4<f32>>;

var<workgroup> partial: array<f32, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let source = (params.first_row + group.x) * params.stride4;
  let target_row = group.x * params.stride4;
  var sum: f32 = 0.0;
  for (var k: u32 = thread; k < params.stride4; k += ${THREADS}u) {
    let x = input[source + k];
    sum += dot(x, x);
  }
  partial[thread] = sum;
  workgroupBarrier();
  var total: f32 = 0.0;
  for (var i: u32 = 0u; i < ${THREADS}u; i++) { total += partial[i]; }
  let scale = inverseSqrt(total / params.width + params.epsilon);
  for (var k: u32 = thread; k < params.stride4; k += ${THREADS}u) {
    output[target_row + k] = input[source + k] * weight[k] * scale;
  }
}
`,
};

/** The rows that {@link rmsNorm} normalises. */
export interface RmsNormShape {
  /** Elements from one row to the next; a multiple of 4, elements beyond `width` zero. */
  readonly stride: number;
  /** Elements of a row that count. */
  readonly width: number;
  /** Added to the mean of a row's squares. */
  readonly epsilon: number;
  /** Row of the input that becomes row 0 of the output. */
  readonly firstRow: number;
  /** Rows. */
  readonly count: number;
}

/** A dispatch of {@link rmsNorm}. */
export function rmsNormDispatch({ stride, width, epsilon, firstRow, count }: RmsNormShape): Dispatch {
  return { params: [stride / 4, floatBits(width), floatBits(epsilon), firstRow], grid: [count] };
}
