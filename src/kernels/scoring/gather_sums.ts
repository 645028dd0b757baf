/**
 * @file Takes the attention sums of the rows that are kept of a layer out of those of all rows, in the order in which the rows
 * will lie: the ranked ones, then the window.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";

const THREADS = 256;

/**
 * Bindings: sums f32 `[kvHead][capacity]`, by row of the pack; indices u32 `[kvHead][capacity]`, relative to `start`; kept f32
 * `[kvHead][capacity]`, of which the first `ranked + window` of each head are written.
 * Grid: along `x` a thread for each kept row; `y` = KV heads.
 */
export const gatherSums: Kernel = {
  label: "gather-sums",
  bindings: ["read", "read", "write"],
  wgsl: `
struct Params { start: u32, length: u32, ranked: u32, window: u32, capacity: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> kept: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let row = thread.x;
  if (row >= params.ranked + params.window) { return; }
  let first = thread.y * params.capacity;
  var source: u32 = params.length - params.window + row - params.ranked;
  if (row < params.ranked) { source = indices[first + row]; }
  kept[first + row] = sums[first + params.start + source];
}
`,
};

/** What {@link gatherSums} takes. */
export interface GatherSumsShape {
  readonly kvHeadCount: number;
  /** First row of the prompt in the pack, and its rows. */
  readonly start: number;
  readonly length: number;
  /** Rows kept: the best ones by the indices, and the last ones. */
  readonly ranked: number;
  readonly window: number;
  /** Sums from one KV head to the next, in all buffers. */
  readonly capacity: number;
}

/** A dispatch of {@link gatherSums}. */
export function gatherSumsDispatch(
  { kvHeadCount, start, length, ranked, window, capacity }: GatherSumsShape,
): Dispatch {
  return {
    params: [start, length, ranked, window, capacity],
    grid: [Math.ceil((ranked + window) / THREADS), kvHeadCount],
  };
}
