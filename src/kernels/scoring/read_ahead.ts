/**
 * @file Read-ahead: attention to a row counts for the rows after it as well, the less the farther they are:
 *
 *     ahead[kvHead][j] = sum over i = 0 to REACH of  decay^i scores[kvHead][j - i]    for j - i >= SINKS, or i = 0
 *
 * A model that copies from its prompt attends to the row whose successor it will need next. If copying goes on after each
 * row with the chance `decay`, the result is how often each row is expected to be read (a successor representation). The
 * first rows are spared: as attention sinks they get attention that is not meant for them, let alone for what follows.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";

const THREADS = 256;
/** First rows of a prompt, which count for themselves only; the number that StreamingLLM keeps. */
export const SINKS = 4;
/** Rows after an attended row that it counts for: about a sentence. */
export const REACH = 32;

/**
 * Bindings: scores f32 `[kvHead][capacity]`, ahead f32 `[kvHead][capacity]`.
 * Grid: along `x` a thread for each row; `y` = KV heads.
 */
export const readAhead: Kernel = {
  label: "read-ahead",
  bindings: ["read", "write"],
  wgsl: `
struct Params { length: u32, capacity: u32, decay: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read_write> ahead: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let j = thread.x;
  if (j >= params.length) { return; }
  let row = thread.y * params.capacity;
  let first = select(max(j, ${REACH + SINKS}u) - ${REACH}u, j, j < ${SINKS}u);
  var sum: f32 = 0.0;
  for (var i: u32 = first; i <= j; i++) { sum = sum * params.decay + scores[row + i]; }
  ahead[row + j] = sum;
}
`,
};

/** The scores that {@link readAhead} spreads, and how far. */
export interface ReadAheadShape {
  readonly kvHeadCount: number;
  /** Scores of each KV head. */
  readonly length: number;
  /** Scores from one KV head to the next, in both buffers. */
  readonly capacity: number;
  /** What of a score counts for the next row; in [0, 1). */
  readonly decay: number;
}

/** A dispatch of {@link readAhead}. */
export function readAheadDispatch({ kvHeadCount, length, capacity, decay }: ReadAheadShape): Dispatch {
  return { params: [length, capacity, floatBits(decay)], grid: [Math.ceil(length / THREADS), kvHeadCount] };
}
