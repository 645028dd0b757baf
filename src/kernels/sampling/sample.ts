/**
 * @file Draws the next token of every row of a batch from its logits, on the GPU.
 *
 * Greedy rows take the largest logit, the lowest id among equals. The others, in vLLM's order: temperature, min-p, top-k,
 * top-p, then a draw from what is left.
 *
 * No sorting: top-k and top-p are both "the largest threshold key t with sum(amount of tokens with key >= t) >= target",
 * where the amount of a token is 1 (top-k) or its probability among what top-k left (top-p). A radix select finds t in
 * three passes, digit by digit, from a histogram of amounts. Tokens that equal t are all kept, as in vLLM's top-k.
 *
 * Probabilities are added as integers in units of 2^-31, so that the order of the atomic additions cannot change the
 * outcome. Each is rounded by at most 2^-32, so a sum over a vocabulary of V is off by at most V * 2^-32: 1e-5 at 49,152
 * tokens, 6e-5 at 262,144. That is what a running f32 sum of sorted probabilities would lose too. The units add up to
 * 2^31 and a little, so they cannot overflow.
 *
 * The draw is the Gumbel-max trick: the token with the largest `logit / temperature - log(E)`, E exponentially
 * distributed, is distributed as the softmax. E comes from a hash of (seed, draw index, token id), so a sequence draws the
 * same tokens in whatever batch and row it runs. The hash is pcg3d of Jarzynski and Olano, Hash Functions for GPU
 * Rendering, JCGT 2020.
 */
import type { Kernel } from "../../gpu/gpu.ts";
import type { Dispatch } from "../../gpu/recorder.ts";
import { forEachLogit, logitRowFunctions, type LogitRowsShape, rowThreads } from "./logit_row.ts";
import { RESULT_WORDS, SAMPLING_STRUCT, USES_COUNTS } from "./sampling_record.ts";

/** Digits of a key from the top: 11 bits split f32 octaves in four, so the first digit already tells logits apart. */
const DIGITS = [{ shift: 21, bits: 11 }, { shift: 10, bits: 11 }, { shift: 0, bits: 10 }];
const BINS = 2048;

/** One pass of the radix select: narrows `prefix` by a digit. */
function selectDigit(threads: number, { shift, bits }: typeof DIGITS[number], index: number): string {
  const threadBins = BINS / threads;
  const higherBits = (2 ** 32 - 2 ** (shift + bits)) >>> 0;
  return `
  for (var i: u32 = 0u; i < ${threadBins}u; i++) { atomicStore(&histogram[thread * ${threadBins}u + i], 0u); }
  workgroupBarrier();
  ${
    forEachLogit(
      threads,
      "adjusted",
      `if (is_kept(choice, key) && (key & ${higherBits}u) == prefix) {
        let amount = select(1u, u32(exp(scaled(choice, key)) * units + 0.5), by_mass);
        atomicAdd(&histogram[(key >> ${shift}u) & ${2 ** bits - 1}u], amount);
      }`,
    )
  }
  workgroupBarrier();
  own = 0u;
  for (var i: u32 = 0u; i < ${threadBins}u; i++) { own += atomicLoad(&histogram[thread * ${threadBins}u + i]); }
  above = amount_above(thread, own);
  ${index === 0 ? "target_amount = target_of(fraction, count, by_mass);" : ""}
  // The digit lies in exactly one thread's bins: the target is at least 1 and at most the total.
  if (above < target_amount && target_amount - above <= own) {
    var bin: u32 = thread * ${threadBins}u + ${threadBins - 1}u;
    var in_bin: u32 = atomicLoad(&histogram[bin]);
    for (var i: u32 = 1u; i < ${threadBins}u; i++) {
      if (target_amount - above <= in_bin) { break; }
      above += in_bin;
      bin -= 1u;
      in_bin = atomicLoad(&histogram[bin]);
    }
    chosen_prefix = prefix | (bin << ${shift}u);
    chosen_target = target_amount - above;
  }
  workgroupBarrier();
  prefix = chosen_prefix;
  target_amount = chosen_target;`;
}

/**
 * Bindings:
 * 1. raw f32 `[rows, stride]`: the model's logits; log-probabilities are taken from these
 * 2. adjusted f32 `[rows, stride]`: the logits to draw from: `penalties`' output, or `raw` once more
 * 3. slots u32 `[rows]`: the sequence slot of a row
 * 4. positions u32 `[rows]`: position of each row's sequence at step 0; plus the step it is the draw index
 * 5. sampling `[slots]` of `SAMPLING_BYTES`
 * 6. tokens u32 `[slots]`: receives the token id, for the next step's embedding
 * 7. results u32 `[steps, maxRows, RESULT_WORDS]`: words 0 and 1 of the row's record are written: token id, and the bits
 *    of its f32 log-probability (0 when the slot asks for none)
 * 8. counts u32 `[slots, stride]`: the token's entry grows by one, only in slots that use counts; see `penalties`
 *
 * Grid: one workgroup a row.
 *
 * @param vocabulary entries of a row that count; picks the number of threads
 */
export function sample(vocabulary: number): Kernel {
  const threads = rowThreads(vocabulary);
  return {
    label: `sample-${threads}`,
    bindings: ["read", "read", "read", "read", "read", "write", "write", "write"],
    wgsl: `
struct Params { vocabulary: u32, stride: u32, step: u32, max_rows: u32 }
${SAMPLING_STRUCT}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> raw: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> adjusted: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> slots: array<u32>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read> sampling: array<Sampling>;
@group(0) @binding(6) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(7) var<storage, read_write> results: array<u32>;
@group(0) @binding(8) var<storage, read_write> counts: array<u32>;

${logitRowFunctions(threads, "raw")}

/** How a row narrows its candidates. */
struct Choice { maximum: f32, inverse_temperature: f32, log_min_p: f32, threshold: u32 }

var<workgroup> histogram: array<atomic<u32>, ${BINS}>;
var<workgroup> amounts: array<u32, ${threads}>;
var<workgroup> chosen_prefix: u32;
var<workgroup> chosen_target: u32;

/** log(p / largest p) after the temperature. */
fn scaled(choice: Choice, key: u32) -> f32 {
  return max(value_of(key) - choice.maximum, -1e30) * choice.inverse_temperature;
}

fn is_kept(choice: Choice, key: u32) -> bool {
  return key >= choice.threshold && scaled(choice, key) >= choice.log_min_p;
}

/** Sum of the amounts of all higher threads; afterwards amounts[0] is the total. */
fn amount_above(thread: u32, own: u32) -> u32 {
  amounts[thread] = own;
  workgroupBarrier();
  for (var distance: u32 = 1u; distance < ${threads}u; distance <<= 1u) {
    var other: u32 = 0u;
    if (thread + distance < ${threads}u) { other = amounts[thread + distance]; }
    workgroupBarrier();
    amounts[thread] += other;
    workgroupBarrier();
  }
  return amounts[thread] - own;
}

fn target_of(fraction: f32, count: u32, by_mass: bool) -> u32 {
  let total = amounts[0];
  return clamp(select(count, u32(ceil(f32(total) * fraction)), by_mass), 1u, total);
}

/** The lowest key that top-k (of \`count\`) or top-p (of \`fraction\`) keeps. */
fn select_threshold(
  thread: u32, first_quad: u32, choice: Choice, by_mass: bool, fraction: f32, count: u32, units: f32
) -> u32 {
  var prefix: u32 = 0u;
  var target_amount: u32 = 0u;
  var own: u32 = 0u;
  var above: u32 = 0u;
  ${DIGITS.map((digit, index) => selectDigit(threads, digit, index)).join("\n")}
  workgroupBarrier();
  return prefix;
}

fn hash(input: vec3<u32>) -> u32 {
  var v: vec3<u32> = input * 1664525u + 1013904223u;
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v ^= v >> vec3<u32>(16u);
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  return v.z;
}

/** -log(-log(1 - u)) of a uniform u in (0, 1): precise for small u, the ones that win. */
fn gumbel(random_bits: u32) -> f32 {
  let u = min((f32(random_bits) + 0.5) * 0x1p-32f, 0x0.ffffffp0f);
  let series = u * (1.0 + u * (0.5 + u * (1.0 / 3.0 + u * 0.25)));
  return -log(select(-log(1.0 - u), series, u < 0x1p-6f));
}

fn draw(thread: u32, first_quad: u32, settings: Sampling, maximum: f32, draw_index: u32) -> u32 {
  var choice: Choice = Choice(maximum, settings.inverse_temperature, settings.log_min_p, 1u);
  if (settings.top_k < params.vocabulary) {
    choice.threshold = select_threshold(thread, first_quad, choice, false, 0.0, settings.top_k, 0.0);
  }
  if (settings.top_p < 1.0) {
    var mass: f32 = 0.0;
    ${forEachLogit(threads, "adjusted", "mass += select(0.0, exp(scaled(choice, key)), is_kept(choice, key));")}
    let units = 0x1p31f / row_sum(thread, mass);
    choice.threshold = select_threshold(thread, first_quad, choice, true, settings.top_p, 0u, units);
  }
  var best_score: u32 = 0u;
  var best_token: u32 = 0u;
  ${
      forEachLogit(
        threads,
        "adjusted",
        `if (is_kept(choice, key)) {
        let noise = gumbel(hash(vec3<u32>(settings.seed, draw_index, id)));
        let score = key_of(bitcast<u32>(scaled(choice, key) + noise));
        if (score > best_score) {
          best_score = score;
          best_token = id;
        }
      }`,
      )
    }
  return row_best(thread, best_score, best_token).y;
}

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.x;
  let slot = slots[row];
  let settings = sampling[slot];
  let first_quad = row * (params.stride / 4u);

  var largest: u32 = 0u;
  var largest_id: u32 = 0u;
  ${
      forEachLogit(
        threads,
        "adjusted",
        `if (key > largest) {
        largest = key;
        largest_id = id;
      }`,
      )
    }
  let likeliest = row_best(thread, largest, largest_id);
  var token: u32 = likeliest.y;
  if (settings.inverse_temperature > 0.0) {
    token = draw(thread, first_quad, settings, value_of(likeliest.x), positions[row] + params.step);
  }

  var logprob: f32 = 0.0;
  if (settings.logprobs > 0u) {
    let normaliser = row_log_sum_exp(thread, first_quad);
    logprob = value_of(key_of(raw[first_quad + token / 4u][token & 3u])) - normaliser.x - normaliser.y;
  }
  if (thread == 0u) {
    tokens[slot] = token;
    let record = (params.step * params.max_rows + row) * ${RESULT_WORDS}u;
    results[record] = token;
    results[record + 1u] = bitcast<u32>(logprob);
    if ((settings.flags & ${USES_COUNTS}u) != 0u) { counts[slot * params.stride + token] += 1u; }
  }
}
`,
  };
}

/** A dispatch of {@link sample}. */
export function sampleDispatch({ rows, vocabulary, stride, step, maxRows }: LogitRowsShape): Dispatch {
  return { params: [vocabulary, stride, step, maxRows], grid: [rows] };
}
