/**
 * @file What a prompt would look up in itself if it were read a second time, a chunk at a time:
 *
 *     r_i = q_i turned on to the position behind the end of the chunk           see scores/rehearsal.ts
 *     n_i = sum over j of exp(r_i . k_j / sqrt(d)) + sum over j <= i of exp(q_i . k_j / sqrt(d))
 *     s[kvHead][j] = maximum over i and the query heads of the KV head of exp(r_i . k_j / sqrt(d)) / n_i
 *
 * i and j are rows of one chunk (scores/rehearsal.ts): the last one reaches back over rows that the one before it scores. The second sum stands for what a query that is asked again has before it once more.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { REHEARSAL_CHUNK, REHEARSAL_DISTANCE, rehearsalChunks } from "../../scores/rehearsal.ts";
import { type KvElement, kvFunctions, kvVec4Type } from "../kv_element.ts";
import type { ChunkAttentionShape } from "./chunk_attention.ts";
import type { Pairing } from "./linear_scores.ts";

const THREADS = 256;

/**
 * Bindings: queries f32 `[row of the pack][queryHead][headSize]`, rotated; keys, KV elements `[kvHead][capacity][headSize]`, rotated; table
 * vec2 (cos, sin) `[position][headSize / 2]`; scores f32 `[kvHead][capacity]`.
 * Grid: chunks, KV heads. A thread takes every 256th query, and then every 256th key.
 */
export function rehearsalScores(element: KvElement, headSize: number, pairing: Pairing): Kernel {
  const quads = headSize / 4;
  const pairs = headSize / 2;
  const [first, second] = pairing === "adjacent" ? ["2u * pair", "2u * pair + 1u"] : ["pair", `pair + ${pairs}u`];
  return {
    label: `rehearsal-scores-${element}-${headSize}-${pairing}`,
    bindings: ["read", "read", "read", "write"],
    wgsl: `
struct Params { start: u32, length: u32, scored: u32, capacity: u32, query_heads: u32, group: u32, known: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> queries: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> keys: array<${kvVec4Type(element)}>;
@group(0) @binding(3) var<storage, read> table: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;
${kvFunctions(element)}
// Bits of numbers of at least 0, which have the order of the numbers.
var<workgroup> paid: array<atomic<u32>, ${REHEARSAL_CHUNK}>;
var<private> query: array<vec4<f32>, ${quads}> = array<vec4<f32>, ${quads}>();

fn logit(key: u32) -> f32 {
  var sum: f32 = 0.0;
  for (var d: u32 = 0u; d < ${quads}u; d++) { sum += dot(query[d], load_kv(keys[key + d])); }
  return sum * ${1 / Math.sqrt(headSize)};
}

// Turns the query on by a number of positions.
fn turn(by: u32) {
  for (var pair: u32 = 0u; pair < ${pairs}u; pair++) {
    let a = ${first};
    let b = ${second};
    let x = query[a / 4u][a % 4u];
    let y = query[b / 4u][b % 4u];
    // The table's lengths are not 1 where a model lengthens what it rotates: the query has been lengthened already.
    let t = normalize(table[by * ${pairs}u + pair]);
    query[a / 4u][a % 4u] = x * t.x - y * t.y;
    query[b / 4u][b % 4u] = x * t.y + y * t.x;
  }
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let kv_head = workgroup.y;
  let scored_from = params.known + workgroup.x * ${REHEARSAL_CHUNK}u;
  let count = min(${REHEARSAL_CHUNK}u, params.length);
  let first = min(scored_from, params.length - count);
  let behind = min(count + ${REHEARSAL_DISTANCE}u, arrayLength(&table) / ${pairs}u - 1u);
  let first_key = (kv_head * params.capacity + params.start + first) * ${quads}u;
  for (var row: u32 = thread; row < count; row += ${THREADS}u) { atomicStore(&paid[row], 0u); }
  workgroupBarrier();
  for (var in_group: u32 = 0u; in_group < params.group; in_group++) {
    let head = kv_head * params.group + in_group;
    for (var row: u32 = thread; row < count; row += ${THREADS}u) {
      let place = ((params.start + first + row) * params.query_heads + head) * ${quads}u;
      for (var d: u32 = 0u; d < ${quads}u; d++) { query[d] = queries[place + d]; }
      var most: f32 = -3e38;
      var sum: f32 = 0.0;
      for (var j: u32 = 0u; j <= row; j++) {
        let before = logit(first_key + j * ${quads}u);
        let higher = max(most, before);
        sum = sum * exp(most - higher) + exp(before - higher);
        most = higher;
      }
      turn(behind - row);
      for (var j: u32 = 0u; j < count; j++) {
        let again = logit(first_key + j * ${quads}u);
        let higher = max(most, again);
        sum = sum * exp(most - higher) + exp(again - higher);
        most = higher;
      }
      let share = 1.0 / sum;
      // Each thread begins with another key, so that few meet.
      for (var i: u32 = 0u; i < count; i++) {
        let j = (row + i) % count;
        atomicMax(&paid[j], bitcast<u32>(exp(logit(first_key + j * ${quads}u) - most) * share));
      }
    }
  }
  workgroupBarrier();
  for (var row: u32 = scored_from + thread; row < min(first + count, params.scored); row += ${THREADS}u) {
    scores[kv_head * params.capacity + row] = bitcast<f32>(atomicLoad(&paid[row - first]));
  }
}
`,
  };
}

/** A dispatch of {@link rehearsalScores}. @param known rows whose scores are known, whole chunks, and fewer than there are */
export function rehearsalScoresDispatch(
  { kvHeadCount, queryHeadCount, start, length, scored, capacity }: ChunkAttentionShape,
  known = 0,
): Dispatch {
  return {
    params: [start, length, scored, capacity, queryHeadCount, queryHeadCount / kvHeadCount, known],
    grid: [rehearsalChunks(length, known).length, kvHeadCount],
  };
}
