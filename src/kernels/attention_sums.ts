/**
 * @file Attention that all queries of a prompt pay to each row (H2O, arXiv 2306.14048), summed while the prompt is prefilled:
 *
 *     sums[kvHead][j] = 1 / N  sum over i >= j of  mean over the group's heads of  softmax_j(q_i . k_j / sqrt(headSize))
 *
 * Prefill holds only the queries of the tile at hand, so after a tile's attention its queries, up to `MAX_WINDOW` at a time,
 * are taken for the window of a prompt that ends with them: `partials` and `combine` of window_scores.ts give their softmax,
 * and the kernel here takes the place of the third, `scores`. It keeps the columns of the window, under the causal mask, and
 * adds to what earlier queries gave.
 *
 * Attention itself keeps no softmax statistics, so that prompts that are not scored like this pay nothing. In return the
 * products of queries and keys are made three times instead of once, and twice with fewer products to a load than attention has.
 */
import type { Kernel } from "../gpu/gpu.ts";
import type { KvElement } from "./kv_element.ts";
import { logitFunctions, SCORE_THREADS, STATISTICS_STRUCT, TILE_ROWS } from "./window_scores.ts";

/**
 * Bindings: keys KV elements `[kvHead][capacity][headSize]`; queries f32 `[row][queryHead][headSize]`; statistics, as
 * `combine` left them; sums f32 `[kvHead][capacity]`, by row of the pack. Rows that no earlier query sees are set, not added to.
 * Parameters are those of window_scores.ts, `weight` being 1 / N.
 * Grid: {@link attentionSumsGrid}.
 */
export function attentionSums(element: KvElement, headSize: number): Kernel {
  return {
    label: `attention-sums-${element}-${headSize}`,
    bindings: ["read", "read", "read", "write"],
    wgsl: `
${logitFunctions(element, headSize, SCORE_THREADS)}
${STATISTICS_STRUCT}
@group(0) @binding(3) var<storage, read> statistics: array<Statistics>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(${SCORE_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let j = group.x * ${SCORE_THREADS}u + thread;
  let kv_head = group.y;
  var sum: f32 = 0.0;
  for (var tile: u32 = 0u; tile < tile_count(); tile++) {
    workgroupBarrier();
    stage_queries(kv_head, tile, thread);
    workgroupBarrier();
    let found = logits(kv_head, j);
    let total = statistics[kv_head * tile_count() + tile];
    let zero = vec4<f32>();
    // A masked logit can exceed the maximum of those that are visible: nothing of it may be multiplied before it is dropped.
    let low = select(zero, exp(found.low - total.max_low), vec4<u32>(j) <= last_visible4(tile * ${TILE_ROWS}u));
    let high = select(zero, exp(found.high - total.max_high), vec4<u32>(j) <= last_visible4(tile * ${TILE_ROWS}u + 4u));
    sum += dot(low, total.inverse_low) + dot(high, total.inverse_high);
  }
  if (j < params.length) {
    let at = kv_head * params.capacity + params.start + j;
    let before = select(sums[at], 0.0, j + params.window >= params.length);
    sums[at] = before + sum * params.weight / f32(params.group);
  }
}
`,
  };
}

/** Workgroups that add the attention of queries to the first `length` rows of a prompt. */
export function attentionSumsGrid(length: number, kvHeadCount: number): [number, number] {
  return [Math.ceil(length / SCORE_THREADS), kvHeadCount];
}
