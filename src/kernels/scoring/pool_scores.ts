/**
 * @file 1-D pooling of scores along the sequence (stride 1, same length) and, in the same pass, their histogram.
 *
 * Average pooling counts the zero padding at the ends: it always divides by the kernel's width. Maximum pooling ignores
 * the padding. Allocators need only the histogram (see scores/score_histogram.ts), the ranking needs the pooled scores.
 */
import { BIN_COUNT, BIN_SHIFT, FIRST_KEY } from "../../scores/score_histogram.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";

const THREADS = 256;
/** Scores of one workgroup: enough that clearing and flushing its own histogram is cheap beside them. */
const WORKGROUP_SCORES = 2048;

/**
 * Bindings: scores f32 `[kvHead][capacity]`, pooled f32 `[kvHead][capacity]`, histogram u32 (any number of histograms of
 * `BIN_COUNT` bins; counts are added to one of them, or to one for each KV head).
 * Grid: `x` = lots of 2048 scores, `y` = KV heads.
 */
export const poolScores: Kernel = {
  label: "pool-scores",
  bindings: ["read", "write", "write"],
  wgsl: `
struct Params { length: u32, capacity: u32, width: u32, is_maximum: u32, histogram_offset: u32, start: u32, head_stride: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read_write> pooled: array<f32>;
@group(0) @binding(3) var<storage, read_write> histogram: array<atomic<u32>>;

var<workgroup> bins: array<atomic<u32>, ${BIN_COUNT}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.y * params.capacity;
  let half_width = params.width / 2u;
  let first = group.x * ${WORKGROUP_SCORES}u;
  let end = min(first + ${WORKGROUP_SCORES}u, params.length);
  for (var j: u32 = first + thread; j < end; j += ${THREADS}u) {
    // The scores are positive, so 0 is neutral for both poolings.
    var sum: f32 = 0.0;
    var maximum: f32 = 0.0;
    for (var i: u32 = max(j, half_width) - half_width; i < min(j + half_width + 1u, params.length); i++) {
      let score = scores[row + params.start + i];
      sum += score;
      maximum = max(maximum, score);
    }
    let result = select(sum / f32(params.width), maximum, params.is_maximum != 0u);
    pooled[row + j] = result;
    let key = max(bitcast<u32>(result) >> ${BIN_SHIFT}u, ${FIRST_KEY}u);
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

/** The scores that {@link poolScores} pools, and how. */
export interface PoolScoresShape {
  readonly kvHeadCount: number;
  /** First score of each KV head; pooled scores always start at 0. */
  readonly start: number;
  /** Scores of each KV head. */
  readonly length: number;
  /** Scores from one KV head to the next, in both buffers. */
  readonly capacity: number;
  /** Scores that are pooled to one; odd, 1 pools nothing. */
  readonly width: number;
  readonly pooling: "average" | "maximum";
  /** First bin of the histogram to add to, in u32s. */
  readonly histogramOffset: number;
  /** Whether the KV heads' histograms follow each other, or all add to one. */
  readonly byHead: boolean;
}

/** A dispatch of {@link poolScores}. */
export function poolScoresDispatch(
  { kvHeadCount, start, length, capacity, width, pooling, histogramOffset, byHead }: PoolScoresShape,
): Dispatch {
  const isMaximum = pooling === "maximum" ? 1 : 0;
  return {
    params: [length, capacity, width, isMaximum, histogramOffset, start, byHead ? BIN_COUNT : 0],
    grid: [Math.ceil(length / WORKGROUP_SCORES), kvHeadCount],
  };
}
