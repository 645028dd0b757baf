/**
 * @file Observation-window scores by the worst case (DefensiveKV, arXiv 2510.13334): a row matters that any one query of the window
 * attends to.
 *
 * With a_j = softmax_j(q . k_j / sqrt(headSize)) of one query of one query head, j before the window:
 *
 *     p_j          = sum over i within reach of j of  a_i / (rows within reach of i)
 *     s[kvHead][j] = maximum over the group's heads and the window's queries of  p_j
 *
 * "Within reach" is at most (width - 1) / 2 rows away. Each query is pooled by itself, before the maximum. The released code averages with
 * zeros beyond the ends and scales what is left of each query's attention up to what it was; here a row's attention is shared
 * evenly among the rows within reach, so that none is lost in the first place, and no query has to be summed before. The two are the
 * same but for what is scaled up with the attention of the first and last rows.
 *
 * Takes the place of the kernel `scores` of window_scores.ts, after `partials` and `combine`. Rows within reach of a workgroup's own
 * are computed by its neighbours once more.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import type { KvElement } from "../kv_element.ts";
import {
  logitFunctions,
  SCORE_THREADS,
  STATISTICS_STRUCT,
  windowScoresDispatches,
  type WindowScoresShape,
} from "./window_scores.ts";

/** Shares out four query rows of a tile and takes the maximum of what this thread's row is given. */
const takeRows = (half: "low" | "high") => `
    shares[thread] = select(
      vec4<f32>(), exp(found.${half} - total.max_${half}) * total.inverse_${half} / within, vec4<bool>(is_scored));
    workgroupBarrier();
    if (is_own) {
      var pooled: vec4<f32> = vec4<f32>();
      for (var i: u32 = thread - params.reach; i <= thread + params.reach; i++) { pooled += shares[i]; }
      most = max(most, pooled);
    }
    workgroupBarrier();`;

/**
 * Bindings: as `scores` of window_scores.ts.
 * Grid: see {@link windowMaximaDispatch}.
 */
export function windowMaxima(element: KvElement, headSize: number): Kernel {
  return {
    label: `window-maxima-${element}-${headSize}`,
    bindings: ["read", "read", "read", "write"],
    wgsl: `
${logitFunctions(element, headSize, SCORE_THREADS)}
${STATISTICS_STRUCT}
@group(0) @binding(3) var<storage, read> statistics: array<Statistics>;
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;

// What each row gives to each row within reach, by query row.
var<workgroup> shares: array<vec4<f32>, ${SCORE_THREADS}>;

@compute @workgroup_size(${SCORE_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  // Counted from the first row within reach of the workgroup's own: ahead of the prompt for the first workgroup.
  let place = group.x * (${SCORE_THREADS}u - 2u * params.reach) + thread;
  let scored = params.length - params.window;
  let is_scored = place >= params.reach && place < params.reach + scored;
  let is_own = is_scored && thread >= params.reach && thread < ${SCORE_THREADS}u - params.reach;
  let j = select(0u, place - params.reach, is_scored);
  let within = f32(min(j + params.reach, scored - 1u) - (max(j, params.reach) - params.reach) + 1u);
  let kv_head = group.y;
  var most: vec4<f32> = vec4<f32>();
  for (var tile: u32 = 0u; tile < tile_count(); tile++) {
    stage_queries(kv_head, tile, thread);
    workgroupBarrier();
    let found = logits(kv_head, j);
    let total = statistics[kv_head * tile_count() + tile];
    ${takeRows("low")}
    ${takeRows("high")}
  }
  if (is_own) { scores[kv_head * params.capacity + j] = max(max(most.x, most.y), max(most.z, most.w)); }
}
`,
  };
}

/** One prompt of a pack, and how {@link windowMaxima} pools it. */
export interface WindowMaximaShape extends WindowScoresShape {
  /** Rows over which each query's attention is pooled: odd, and less than {@link SCORE_THREADS}. */
  readonly width: number;
}

/** The dispatch of {@link windowMaxima}. */
export function windowMaximaDispatch(shape: WindowMaximaShape): Dispatch {
  const { kvHeadCount, length, window, width } = shape;
  const { params } = windowScoresDispatches(shape).scores;
  const groups = Math.ceil((length - window) / (SCORE_THREADS - (width - 1)));
  return { params: [...params, 0, 0, 0, (width - 1) / 2], grid: [groups, kvHeadCount] };
}
