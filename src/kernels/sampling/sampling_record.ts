/**
 * @file What the sampling kernels are told about a sequence, and what they report about a token: two records of words.
 *
 *     sampling  [slots]           one {@link SAMPLING_BYTES} record per sequence slot, written when a sequence starts
 *     results   [steps, maxRows]  one {@link RESULT_WORDS} record per generated token, read back by the host
 *     a result: token id | logprob | { id, logprob } x MAX_TOP_LOGPROBS
 */
import type { GeneratedToken } from "../../contract/generation.ts";
import type { SamplingParameters } from "../../contract/sampling.ts";
import { floatBits } from "../../gpu/recorder.ts";

/** Most alternatives that a token can be reported with: OpenAI's limit for `top_logprobs`. */
export const MAX_TOP_LOGPROBS = 20;

/** Words of one result record. */
export const RESULT_WORDS = 2 + 2 * MAX_TOP_LOGPROBS;

/** Bytes of one sampling record. */
export const SAMPLING_BYTES = 64;

/** Stands for "no token" where a vocabulary holds fewer tokens than alternatives were asked for. */
export const NO_TOKEN = 0xffffffff;

/** Set in a record's `flags` when penalties read, and `sample` updates, the slot's token counts. */
export const USES_COUNTS = 1;
/** Set when the slot has a logit bias. */
export const USES_BIAS = 2;

/** WGSL of a sampling record. */
export const SAMPLING_STRUCT = `
struct Sampling {
  inverse_temperature: f32, // 0: greedy
  top_k: u32, // at least 1; all ones: off
  top_p: f32, // 1: off
  log_min_p: f32, // natural logarithm; the lowest f32: off
  repetition_penalty: f32,
  frequency_penalty: f32,
  presence_penalty: f32,
  seed: u32,
  flags: u32, // ${USES_COUNTS}: counts, ${USES_BIAS}: bias
  logprobs: u32, // 0: none, 1 + n: of the chosen token and of the n most likely ones
  unused0: vec2<u32>,
  unused1: vec4<u32>,
}
`;

/** Below this, `1 / temperature` would magnify rounding; vLLM too samples greedily there. */
const GREEDY_BELOW = 1e-5;
const LOWEST_FLOAT = -3.4028234663852886e38;

/** Whether penalties apply, so that the slot's counts must be kept. */
export function usesCounts(parameters: SamplingParameters): boolean {
  const { frequencyPenalty, presencePenalty, repetitionPenalty } = parameters;
  return frequencyPenalty !== 0 || presencePenalty !== 0 || repetitionPenalty !== 1;
}

/** Whether a batch with this sequence in it needs the `penalties` kernel before `sample`. */
export function adjustsLogits(parameters: SamplingParameters): boolean {
  return usesCounts(parameters) || usesBias(parameters);
}

/** Whether the slot has a logit bias. */
export function usesBias({ logitBias, allowedTokens }: SamplingParameters): boolean {
  return logitBias.length > 0 || allowedTokens !== undefined;
}

/**
 * The sampling record of a sequence, `SAMPLING_BYTES / 4` words. Top-k 1 is stored as greedy, so that equal logits
 * cannot make it random.
 *
 * @param topLogprobs as in `GenerationRequest`: undefined reports no log-probabilities, n the chosen token's and n more
 * @throws {RangeError} when more than {@link MAX_TOP_LOGPROBS} are asked for
 */
export function encodeSampling(parameters: SamplingParameters, topLogprobs?: number): Uint32Array<ArrayBuffer> {
  if (
    topLogprobs !== undefined && !(Number.isInteger(topLogprobs) && topLogprobs >= 0 && topLogprobs <= MAX_TOP_LOGPROBS)
  ) {
    throw new RangeError(`top_logprobs is ${topLogprobs}: expected a whole number from 0 to ${MAX_TOP_LOGPROBS}`);
  }
  const greedy = parameters.temperature < GREEDY_BELOW || parameters.topK === 1;
  const record = new Uint32Array(SAMPLING_BYTES / 4);
  record.set([
    floatBits(greedy ? 0 : 1 / parameters.temperature),
    parameters.topK > 0 ? Math.min(parameters.topK, 0xffffffff) : 0xffffffff,
    floatBits(parameters.topP),
    floatBits(parameters.minP > 0 ? Math.log(Math.min(parameters.minP, 1)) : LOWEST_FLOAT),
    floatBits(parameters.repetitionPenalty),
    floatBits(parameters.frequencyPenalty),
    floatBits(parameters.presencePenalty),
    parameters.seed,
    (usesCounts(parameters) ? USES_COUNTS : 0) | (usesBias(parameters) ? USES_BIAS : 0),
    topLogprobs === undefined ? 0 : 1 + topLogprobs,
  ]);
  return record;
}

/**
 * Reads a result record.
 *
 * @param words at least {@link RESULT_WORDS} words, the record first
 * @param topLogprobs what {@link encodeSampling} was given for the sequence
 */
export function decodeResult(words: Uint32Array, topLogprobs?: number): GeneratedToken {
  if (topLogprobs === undefined) return { id: words[0] };
  const floats = new Float32Array(words.buffer, words.byteOffset, RESULT_WORDS);
  const alternatives: { id: number; logprob: number }[] = [];
  for (let i = 0; i < topLogprobs && words[2 + 2 * i] !== NO_TOKEN; i++) {
    alternatives.push({ id: words[2 + 2 * i], logprob: floats[3 + 2 * i] });
  }
  return { id: words[0], logprob: floats[1], topLogprobs: alternatives };
}
