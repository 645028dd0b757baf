/**
 * @file The n most likely tokens of every row under the model's own logits, with their log-probabilities.
 *
 * Every thread keeps the two best tokens of its share of the row; n times the best of all threads is written and taken
 * out. Only a thread both of whose tokens were taken has to go over its share again, which is rare: 20 winners seldom
 * meet three times in one thread.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { forEachLogit, logitRowFunctions, type LogitRowsShape, rowThreads } from "./logit_row.ts";
import { NO_TOKEN, RESULT_WORDS, SAMPLING_STRUCT } from "./sampling_record.ts";

/**
 * Bindings:
 * 1. logits f32 `[rows, stride]`, before any penalty
 * 2. slots u32 `[rows]`: the sequence slot of a row
 * 3. sampling `[slots]` of `SAMPLING_BYTES`: says how many tokens a row reports
 * 4. results u32 `[steps, maxRows, RESULT_WORDS]`: from word 2 of the row's record, pairs of token id and bits of the f32
 *    log-probability, most likely first, the lowest id first among equals; `NO_TOKEN` where the vocabulary is exhausted
 *
 * Grid: one workgroup a row; rows that ask for none return at once.
 *
 * @param vocabulary entries of a row that count; picks the number of threads
 */
export function topLogprobs(vocabulary: number): Kernel {
  const threads = rowThreads(vocabulary);
  return {
    label: `top-logprobs-${threads}`,
    bindings: ["read", "read", "read", "write"],
    wgsl: `
struct Params { vocabulary: u32, stride: u32, step: u32, max_rows: u32 }
${SAMPLING_STRUCT}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> sampling: array<Sampling>;
@group(0) @binding(4) var<storage, read_write> results: array<u32>;

${logitRowFunctions(threads, "logits")}

/** The two best tokens of a thread: (key, id, key, id). */
fn best_below(thread: u32, first_quad: u32, last: vec2<u32>) -> vec4<u32> {
  var best: vec4<u32> = vec4<u32>(0u);
  ${
      forEachLogit(
        threads,
        "logits",
        `if (key < last.x || (key == last.x && id > last.y)) {
        if (key > best.x) {
          best = vec4<u32>(key, id, best.xy);
        } else if (key > best.z) {
          best = vec4<u32>(best.xy, key, id);
        }
      }`,
      )
    }
  return best;
}

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let wanted = max(sampling[slots[row]].logprobs, 1u) - 1u;
  if (wanted == 0u) { return; }
  let first_quad = row * (params.stride / 4u);
  let first_word = (params.step * params.max_rows + row) * ${RESULT_WORDS}u + 2u;
  let normaliser = row_log_sum_exp(thread, first_quad);

  var best: vec4<u32> = best_below(thread, first_quad, vec2<u32>(0xffffffffu, 0u));
  for (var i: u32 = 0u; i < min(wanted, params.vocabulary); i++) {
    let winner = row_best(thread, best.x, best.y);
    if (best.x == winner.x && best.y == winner.y) {
      results[first_word + 2u * i] = winner.y;
      results[first_word + 2u * i + 1u] = bitcast<u32>(value_of(winner.x) - normaliser.x - normaliser.y);
      best = vec4<u32>(best.zw, 0u, 0u);
      if (best.x == 0u) { best = best_below(thread, first_quad, winner); }
    }
  }
  if (thread >= params.vocabulary && thread < wanted) { results[first_word + 2u * thread] = ${NO_TOKEN}u; }
}
`,
  };
}

/** A dispatch of {@link topLogprobs}. */
export function topLogprobsDispatch({ rows, vocabulary, stride, step, maxRows }: LogitRowsShape): Dispatch {
  return { params: [vocabulary, stride, step, maxRows], grid: [rows] };
}
