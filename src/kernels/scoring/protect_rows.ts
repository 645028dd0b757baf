/** @file Rows that rank before all others, whatever their scores are. Among themselves the earlier ones come first, as equals do. */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { PROTECTED_SCORE } from "../../scores/limits.ts";

const THREADS = 256;
/** Ranges of a dispatch: two to a vector of its parameters, which have room for 16. */
export const RANGES_PER_DISPATCH = 28;

/**
 * Bindings: scores f32 `[kvHead][capacity]`, changed in place.
 * Grid: along `x` a thread for each score; `y` = KV heads.
 */
export const protectRows: Kernel = {
  label: "protect-rows",
  bindings: ["write"],
  wgsl: `
struct Params { scored: u32, capacity: u32, count: u32, unused: u32, ranges: array<vec4<u32>, ${
    RANGES_PER_DISPATCH / 2
  }> }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let j = thread.x;
  if (j >= params.scored) { return; }
  var is_protected: bool = false;
  for (var i: u32 = 0u; i < params.count; i++) {
    let pair = params.ranges[i / 2u];
    let range = select(pair.xy, pair.zw, i % 2u == 1u);
    is_protected = is_protected || (range.x <= j && j < range.y);
  }
  if (is_protected) { scores[thread.y * params.capacity + j] = ${PROTECTED_SCORE.toExponential()}; }
}
`,
};

/** The scores that {@link protectRows} changes. */
export interface ProtectRowsShape {
  readonly kvHeadCount: number;
  /** Scores of each KV head. */
  readonly scored: number;
  /** Scores from one KV head to the next. */
  readonly capacity: number;
  /** Rows `start` to `end`, the row at `end` not included. */
  readonly ranges: readonly { readonly start: number; readonly end: number }[];
}

/** Dispatches of {@link protectRows}: one for every {@link RANGES_PER_DISPATCH} ranges. */
export function protectRowsDispatches({ kvHeadCount, scored, capacity, ranges }: ProtectRowsShape): Dispatch[] {
  return Array.from({ length: Math.ceil(ranges.length / RANGES_PER_DISPATCH) }, (_, i) => {
    const some = ranges.slice(i * RANGES_PER_DISPATCH, (i + 1) * RANGES_PER_DISPATCH);
    return {
      params: [scored, capacity, some.length, 0, ...some.flatMap(({ start, end }) => [start, Math.min(end, scored)])],
      grid: [Math.ceil(scored / THREADS), kvHeadCount],
    };
  });
}
