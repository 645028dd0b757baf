/** @file Takes the tokens out of the choice that a grammar does not allow. */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";

const THREADS = 256;

/** Less likely than any token that may come; the largest magnitude of a logit, see logit_row.ts. */
export const MASKED_LOGIT = -1e38;
/** At least this likely is every token that may come, whatever its logit. */
export const LEAST_LOGIT = -1e37;

/**
 * Bindings:
 * 1. slots u32 `[rows]`: the sequence slot of a row
 * 2. masks u32 `[slots, stride / 32]`: a bit for each token that may come, lowest bit first
 * 3. logits f32 `[rows, stride]`: of tokens that may not come they become {@link MASKED_LOGIT}, of others at least
 *    {@link LEAST_LOGIT}, NaN included
 *
 * Grid: along `x` a thread for four logits of a row; `y` = rows from the first one on.
 */
export const tokenMask: Kernel = {
  label: "token-mask",
  bindings: ["read", "read", "write"],
  wgsl: `
struct Params { quads: u32, first_row: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> slots: array<u32>;
@group(0) @binding(2) var<storage, read> masks: array<u32>;
@group(0) @binding(3) var<storage, read_write> logits: array<vec4<f32>>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let quad = thread.x;
  if (quad >= params.quads) { return; }
  let row = params.first_row + thread.y;
  let word = masks[slots[row] * (params.quads / 8u) + quad / 8u];
  let bits = vec4<u32>(word >> ((quad & 7u) * 4u)) >> vec4<u32>(0u, 1u, 2u, 3u);
  let x = logits[row * params.quads + quad];
  // NaN fails every comparison; by its bits, for compilers may take it that there is none.
  let magnitude = bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
  let is_number = magnitude <= vec4<u32>(0x7f800000u);
  let allowed = select(vec4<f32>(${LEAST_LOGIT}), max(x, vec4<f32>(${LEAST_LOGIT})), is_number);
  let may_come = (bits & vec4<u32>(1u)) == vec4<u32>(1u);
  logits[row * params.quads + quad] = select(vec4<f32>(${MASKED_LOGIT}), allowed, may_come);
}
`,
};

/** The rows that {@link tokenMask} masks. */
export interface TokenMaskShape {
  readonly firstRow: number;
  readonly rows: number;
  /** Elements from one row of logits to the next; a multiple of 32. */
  readonly stride: number;
}

/** A dispatch of {@link tokenMask}. */
export function tokenMaskDispatch({ firstRow, rows, stride }: TokenMaskShape): Dispatch {
  return { params: [stride / 4, firstRow], grid: [Math.ceil(stride / (4 * THREADS)), rows] };
}
