/**
 * @file The gated activation of many rows: `output[m, n] = silu(input[m, n]) * input[m, n + width]`.
 *
 * Bindings: input f32 `[m, 2 * width]`; output f32 `[m, width]`. `width` is a multiple of 4.
 * Grid: (ceil(width / 4 / 64), m).
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";

const THREADS = 64;

export const swiglu: Kernel = {
  label: "swiglu",
  bindings: ["read", "write"],
  wgsl: `
struct Params { width4: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  if (thread.x >= params.width4) { return; }
  let gate = input[thread.y * params.width4 * 2u + thread.x];
  let up = input[thread.y * params.width4 * 2u + params.width4 + thread.x];
  output[thread.y * params.width4 + thread.x] = gate / (1.0 + exp(-gate)) * up;
}
`,
};

/** What {@link swiglu} activates. */
export interface SwigluShape {
  /** Outputs of a row; a multiple of 4. */
  readonly width: number;
  /** Rows. */
  readonly count: number;
}

/** A dispatch of {@link swiglu}. */
export function swigluDispatch({ width, count }: SwigluShape): Dispatch {
  return { params: [width / 4], grid: [Math.ceil(width / 4 / THREADS), count] };
}
