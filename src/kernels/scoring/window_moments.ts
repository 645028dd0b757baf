/**
 * @file Observation-window scores by mean and variance, and how the window's attention is spread (CAKE, ICLR 2025).
 *
 * With a_ij = softmax_j(q_i . k_j / sqrt(headSize)) of one query head, j before the window of w queries:
 *
 *     s[kvHead][j] = mean over the group's heads of  weight sum_i a_ij + varianceWeight var_i a_ij
 *                    or maximum over them of         weight sum_i a_ij
 *     entropy      = - sum over heads, i, j of  a_ij ln a_ij
 *     variance     = sum over heads, j of  var_i a_ij
 *
 * `var` is the variance of a sample, and 0 for a window of one query. Takes the place of the kernel `scores` of
 * window_scores.ts, after `partials` and `combine`; a second kernel adds up what the workgroups found.
 */
import { STATISTICS_WORD } from "../../scores/layer_record.ts";
import type { Kernel } from "../../gpu/gpu.ts";
import { type Dispatch, floatBits } from "../../gpu/recorder.ts";
import type { KvElement } from "../kv_element.ts";
import {
  logitFunctions,
  QUERY_TILE_ROWS,
  SCORE_THREADS,
  STATISTICS_STRUCT,
  windowScoresDispatches,
  type WindowScoresShape,
} from "./window_scores.ts";

const SUM_THREADS = 64;

/** One row of a tile: the rows of a head follow each other, so a head ends where the next one's first row is met. */
const takeRow = (row: number) => `
    {
      let a = ${row < 4 ? "low" : "high"}[${row % 4}];
      if ((tile * ${QUERY_TILE_ROWS}u + ${row}u) % params.window == 0u) {
        squared_sums += head_sum * head_sum;
        largest = max(largest, head_sum);
        head_sum = 0.0;
      }
      sum += a;
      head_sum += a;
      squares += a * a;
      entropy -= a * log(max(a, 1e-37));
    }`;

/**
 * Bindings: as `scores` of window_scores.ts, then moments vec2<f32> (entropy, variance) of each workgroup
 * ({@link windowMomentsBytes}).
 * Grid: that of `scores`.
 */
export function windowMoments(element: KvElement, headSize: number): Kernel {
  return {
    label: `window-moments-${element}-${headSize}`,
    bindings: ["read", "read", "read", "write", "write"],
    wgsl: `
${logitFunctions(element, headSize, SCORE_THREADS)}
${STATISTICS_STRUCT}
@group(0) @binding(3) var<storage, read> statistics: array<Statistics>;
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;
@group(0) @binding(5) var<storage, read_write> moments: array<vec2<f32>>;

var<workgroup> shared_moments: array<vec2<f32>, ${SCORE_THREADS}>;

@compute @workgroup_size(${SCORE_THREADS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let j = group.x * ${SCORE_THREADS}u + thread;
  let kv_head = group.y;
  // A key of the window can exceed the causal maximum, and be infinite: it counts for nothing.
  let is_scored = j + params.window < params.length;
  var sum: f32 = 0.0;
  var head_sum: f32 = 0.0;
  var squares: f32 = 0.0;
  // Of the sums of the heads that are complete.
  var squared_sums: f32 = 0.0;
  var largest: f32 = 0.0;
  var entropy: f32 = 0.0;
  for (var tile: u32 = 0u; tile < tile_count(); tile++) {
    workgroupBarrier();
    stage_queries(kv_head, tile, thread);
    workgroupBarrier();
    let found = logits(kv_head, j);
    let total = statistics[kv_head * tile_count() + tile];
    let zero = vec4<f32>();
    let low = select(zero, exp(found.low - total.max_low) * total.inverse_low, vec4<bool>(is_scored));
    let high = select(zero, exp(found.high - total.max_high) * total.inverse_high, vec4<bool>(is_scored));
    ${Array.from({ length: QUERY_TILE_ROWS }, (_, row) => takeRow(row)).join("")}
  }
  squared_sums += head_sum * head_sum;
  largest = max(largest, head_sum);
  let window = f32(params.window);
  let variance = max(squares - squared_sums / window, 0.0) / max(window - 1.0, 1.0);
  if (is_scored) {
    let mean = (sum * params.weight + variance * params.variance_weight) / f32(params.group);
    scores[kv_head * params.capacity + j] = select(mean, largest * params.weight, params.is_maximum != 0u);
  }
  shared_moments[thread] = vec2<f32>(entropy, variance);
  workgroupBarrier();
  for (var distance: u32 = ${SCORE_THREADS / 2}u; distance > 0u; distance >>= 1u) {
    if (thread < distance) { shared_moments[thread] += shared_moments[thread + distance]; }
    workgroupBarrier();
  }
  if (thread == 0u) { moments[kv_head * groups.x + group.x] = shared_moments[0]; }
}
`,
  };
}

/**
 * Bindings: moments; records u32, layer records (see scores/layer_record.ts), of one of which the statistics are written.
 * Grid: one workgroup.
 */
export const sumMoments: Kernel = {
  label: "sum-moments",
  bindings: ["read", "write"],
  wgsl: `
struct Params { count: u32, record: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> moments: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> records: array<u32>;

var<workgroup> sums: array<vec2<f32>, ${SUM_THREADS}>;

@compute @workgroup_size(${SUM_THREADS})
fn main(@builtin(local_invocation_index) thread: u32) {
  var mine: vec2<f32> = vec2<f32>();
  for (var i: u32 = thread; i < params.count; i += ${SUM_THREADS}u) { mine += moments[i]; }
  sums[thread] = mine;
  workgroupBarrier();
  for (var distance: u32 = ${SUM_THREADS / 2}u; distance > 0u; distance >>= 1u) {
    if (thread < distance) { sums[thread] += sums[thread + distance]; }
    workgroupBarrier();
  }
  if (thread == 0u) {
    records[params.record + ${STATISTICS_WORD}u] = bitcast<u32>(sums[0].x);
    records[params.record + ${STATISTICS_WORD + 1}u] = bitcast<u32>(sums[0].y);
  }
}
`,
};

/** One prompt of a pack, and what {@link windowMoments} makes of its attention. */
export interface WindowMomentsShape extends WindowScoresShape {
  /** What the sum of a row's attention counts for. */
  readonly weight: number;
  /** What its variance counts for. */
  readonly varianceWeight: number;
  /** Whether scores are the maximum over the group's heads, and variance counts for nothing; or the mean. */
  readonly isMaximum: boolean;
  /** First word of the layer record that takes the statistics. */
  readonly recordOffset: number;
}

/** Dispatches of {@link windowMoments} and then {@link sumMoments}, which only statistics need. */
export function windowMomentsDispatches(
  shape: WindowMomentsShape,
): { readonly moments: Dispatch; readonly sum: Dispatch } {
  const { weight, varianceWeight, isMaximum, recordOffset } = shape;
  const { params, grid } = windowScoresDispatches(shape).scores;
  const [chunks] = grid;
  return {
    moments: { params: [...params, floatBits(weight), floatBits(varianceWeight), isMaximum ? 1 : 0], grid },
    sum: { params: [chunks * shape.kvHeadCount, recordOffset], grid: [1] },
  };
}

/** Bytes of the moments of a prompt as long as `capacity`. */
export function windowMomentsBytes(kvHeadCount: number, capacity: number): number {
  return kvHeadCount * Math.ceil(capacity / SCORE_THREADS) * 8;
}
