/**
 * @file What rows are paid by the rows of their chunk, of which each sees all:
 *
 *     p[i][j] = exp(q_i . k_j) / sum over j' of exp(q_i . k_j'),   i, j, j' in one chunk of the prompt
 *     s[kvHead][j] = mean over the query heads of the KV head of (sum over i of p[i][j])
 *
 * Logits are not divided by the root of the head size, as in the released code of Compactor (arXiv 2507.08143). The last chunk may be short.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { ATTENTION_CHUNK } from "../../scores/sketch.ts";
import { type KvElement, kvFunctions, kvVec4Type } from "../kv_element.ts";

/**
 * Bindings: queries f32 `[row of the pack][queryHead][headSize]`; keys, KV elements `[kvHead][capacity][headSize]`; scores f32
 * `[kvHead][capacity]`.
 * Grid: chunks, KV heads. A thread is a query first, then a key.
 */
export function chunkAttention(element: KvElement, headSize: number): Kernel {
  const quads = headSize / 4;
  return {
    label: `chunk-attention-${element}-${headSize}`,
    bindings: ["read", "read", "write"],
    wgsl: `
struct Params { start: u32, length: u32, scored: u32, capacity: u32, query_heads: u32, group: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> queries: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> keys: array<${kvVec4Type(element)}>;
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;
${kvFunctions(element)}
var<workgroup> largest: array<f32, ${ATTENTION_CHUNK}>;
var<workgroup> shares: array<f32, ${ATTENTION_CHUNK}>;

@compute @workgroup_size(${ATTENTION_CHUNK})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let kv_head = workgroup.y;
  let first = workgroup.x * ${ATTENTION_CHUNK}u;
  let count = min(${ATTENTION_CHUNK}u, params.length - first);
  // Threads behind the last row do what the last one does.
  let own_row = params.start + first + min(thread, count - 1u);
  let first_key = (kv_head * params.capacity + params.start + first) * ${quads}u;
  var own: array<vec4<f32>, ${quads}> = array<vec4<f32>, ${quads}>();
  var paid: f32 = 0.0;
  for (var in_group: u32 = 0u; in_group < params.group; in_group++) {
    let head = kv_head * params.group + in_group;
    let query = (own_row * params.query_heads + head) * ${quads}u;
    for (var d: u32 = 0u; d < ${quads}u; d++) { own[d] = queries[query + d]; }
    var most: f32 = -3e38;
    var sum: f32 = 0.0;
    for (var j: u32 = 0u; j < count; j++) {
      var logit: f32 = 0.0;
      for (var d: u32 = 0u; d < ${quads}u; d++) { logit += dot(own[d], load_kv(keys[first_key + j * ${quads}u + d])); }
      let higher = max(most, logit);
      sum = sum * exp(most - higher) + exp(logit - higher);
      most = higher;
    }
    workgroupBarrier();
    largest[thread] = most;
    shares[thread] = 1.0 / sum;
    workgroupBarrier();
    let key = (kv_head * params.capacity + own_row) * ${quads}u;
    for (var d: u32 = 0u; d < ${quads}u; d++) { own[d] = load_kv(keys[key + d]); }
    for (var i: u32 = 0u; i < count; i++) {
      let asking = ((params.start + first + i) * params.query_heads + head) * ${quads}u;
      var logit: f32 = 0.0;
      for (var d: u32 = 0u; d < ${quads}u; d++) { logit += dot(own[d], queries[asking + d]); }
      paid += exp(logit - largest[i]) * shares[i];
    }
  }
  let row = first + thread;
  if (thread < count && row < params.scored) {
    scores[kv_head * params.capacity + row] = paid / f32(params.group);
  }
}
`,
  };
}

/** One prompt of a pack, as {@link chunkAttention} sees it. */
export interface ChunkAttentionShape {
  readonly kvHeadCount: number;
  readonly queryHeadCount: number;
  /** First row of the prompt in the queries and keys, and its rows. */
  readonly start: number;
  readonly length: number;
  /** Rows that get a score, from the first on. */
  readonly scored: number;
  /** Rows of the keys and scores per KV head. */
  readonly capacity: number;
}

/** A dispatch of {@link chunkAttention}. */
export function chunkAttentionDispatch(
  { kvHeadCount, queryHeadCount, start, length, scored, capacity }: ChunkAttentionShape,
): Dispatch {
  return {
    params: [start, length, scored, capacity, queryHeadCount, queryHeadCount / kvHeadCount],
    grid: [Math.ceil(length / ATTENTION_CHUNK), kvHeadCount],
  };
}
