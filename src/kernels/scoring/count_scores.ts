/** @file The histogram of a layer's scores: all that most allocators need of them (see scores/score_histogram.ts). */
import { BIN_COUNT, BIN_SHIFT, FIRST_KEY } from "../../scores/score_histogram.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";

const THREADS = 256;
/** Scores of one workgroup: enough that clearing and flushing its own histogram is cheap beside them. */
const WORKGROUP_SCORES = 2048;

/**
 * Bindings: scores f32 `[kvHead][capacity]`, histogram u32 (any number of histograms of `BIN_COUNT` bins; counts are added to one
 * of them, or to one for each KV head).
 * Grid: along `x` a workgroup for 2,048 scores; `y` = KV heads.
 */
export const countScores: Kernel = {
  label: "count-scores",
  bindings: ["read", "write"],
  wgsl: `
struct Params { length: u32, capacity: u32, histogram_offset: u32, head_stride: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read_write> histogram: array<atomic<u32>>;

var<workgroup> bins: array<atomic<u32>, ${BIN_COUNT}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.y * params.capacity;
  let first = group.x * ${WORKGROUP_SCORES}u;
  let end = min(first + ${WORKGROUP_SCORES}u, params.length);
  for (var j: u32 = first + thread; j < end; j += ${THREADS}u) {
    let key = max(bitcast<u32>(scores[row + j]) >> ${BIN_SHIFT}u, ${FIRST_KEY}u);
    atomicAdd(&bins[min(key - ${FIRST_KEY}u, ${BIN_COUNT - 1}u)], 1u);
  }
  workgroupBarrier();
  for (var bin: u32 = thread; bin < ${BIN_COUNT}u; bin += ${THREADS}u) {
    let count = atomicLoad(&bins[bin]);
    if (count != 0u) { atomicAdd(&histogram[params.histogram_offset + group.y * params.head_stride + bin], count); }
  }
}
`,
};

/** The scores that {@link countScores} counts, and where. */
export interface CountScoresShape {
  readonly kvHeadCount: number;
  /** Scores of each KV head. */
  readonly length: number;
  /** Scores from one KV head to the next. */
  readonly capacity: number;
  /** First bin of the histogram to add to, in u32s. */
  readonly histogramOffset: number;
  /** Whether the KV heads' histograms follow each other, or all add to one. */
  readonly byHead: boolean;
}

/** A dispatch of {@link countScores}. */
export function countScoresDispatch(
  { kvHeadCount, length, capacity, histogramOffset, byHead }: CountScoresShape,
): Dispatch {
  return {
    params: [length, capacity, histogramOffset, byHead ? BIN_COUNT : 0],
    grid: [Math.ceil(length / WORKGROUP_SCORES), kvHeadCount],
  };
}
