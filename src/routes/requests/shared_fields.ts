/** @file The fields that completions and chat completions share. */
import { z } from "zod";
import { boolean, integerFrom, isTokenId, listOf, numberFrom, text, tokenIds } from "./checks.ts";
import { structuredOutputFields } from "./structured_output.ts";
import { refusals, REFUSED_FIELDS } from "./refused_fields.ts";

const MAX_STOP_STRINGS = 16;
export const MAX_TOP_LOGPROBS = 20;
/** OpenAI's own bound. */
export const MAX_CHOICES = 128;
const MAX_STOP_TOKENS = 1024;
const MAX_BIASES = 4096;
/** More than any vocabulary has. */
const MAX_ALLOWED_TOKENS = 500_000;
const MAX_BAD_WORDS = 256;
const MAX_BAD_WORD_CHARACTERS = 100;
const PRIORITY_ERROR = "expected an integer";

const stopError = `expected a non-empty string or an array of at most ${MAX_STOP_STRINGS} of them`;
const isStop = (value: unknown) => typeof value === "string" && value !== "";
const stop = z.custom<string | string[]>(
  (value) => isStop(value) || (Array.isArray(value) && value.length <= MAX_STOP_STRINGS && value.every(isStop)),
  { error: stopError },
).transform((value) => typeof value === "string" ? [value] : value).meta({
  anyOf: [{ type: "string", minLength: 1 }, {
    type: "array",
    items: { type: "string", minLength: 1 },
    maxItems: MAX_STOP_STRINGS,
  }],
});

const biasError = "expected an object of token ids and biases from -100 to 100";
const bias = z.number({ error: biasError }).min(-100, { error: biasError }).max(100, { error: biasError });
const logitBias = z.unknown().refine(
  (value) => typeof value !== "object" || value === null || Object.keys(value).length <= MAX_BIASES,
  { error: `expected at most ${MAX_BIASES} token ids`, abort: true },
).pipe(z.record(z.string().regex(/^\d+$/, { error: biasError }), bias, { error: biasError }));

const badWordError = `expected a string of 1 to ${MAX_BAD_WORD_CHARACTERS} characters`;
const badWord = z.string({ error: badWordError }).min(1, { error: badWordError })
  .max(MAX_BAD_WORD_CHARACTERS, { error: badWordError });

// What it says is the business of the policies; that it is small is not.
const kvCacheError = "expected an object with policy, budget and options";
const MAX_KV_CACHE_ENTRIES = 64;
const MAX_KV_CACHE_DEPTH = 4;
const MAX_KV_CACHE_CHARACTERS = 200;
const kvCache = z.custom<Record<string, unknown>>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  { error: kvCacheError, abort: true },
).refine((value) => isSmall(value), {
  error: `${kvCacheError}, of at most ${MAX_KV_CACHE_ENTRIES} fields each, ${MAX_KV_CACHE_DEPTH} levels and ` +
    `${MAX_KV_CACHE_CHARACTERS} characters a text`,
}).meta({
  type: "object",
  properties: {
    policy: { type: "string" },
    scorer: { type: "string" },
    allocator: { type: "string" },
    budget: { type: ["number", "string", "object"] },
    options: { type: "object" },
    decode_eviction: { type: ["boolean", "integer", "object"] },
    report: { enum: ["positions"] },
  },
});

function isSmall(value: unknown, depth = 1): boolean {
  if (typeof value === "string") return value.length <= MAX_KV_CACHE_CHARACTERS;
  if (typeof value !== "object" || value === null) return true;
  if (depth > MAX_KV_CACHE_DEPTH) return false;
  const entries = Object.entries(value);
  return entries.length <= MAX_KV_CACHE_ENTRIES &&
    entries.every(([name, inner]) => name.length <= MAX_KV_CACHE_CHARACTERS && isSmall(inner, depth + 1));
}

const streamOptions = z.object({
  include_usage: boolean.nullish(),
  // vLLM's.
  continuous_usage_stats: boolean.nullish(),
}, { error: "expected an object" }).nullish();
/** What a stream is to tell beside its choices. */
export type StreamOptions = z.infer<typeof streamOptions>;

/** Fields that completions and chat completions share. */
export const sharedFields = {
  ...refusals(REFUSED_FIELDS),
  model: text.nullish(),
  stream: boolean.nullish(),
  stream_options: streamOptions,
  n: integerFrom(1, MAX_CHOICES).nullish(),
  max_tokens: integerFrom(1).nullish(),
  // llama-server's: -1 sets no limit.
  n_predict: z.custom<number>((value) => value === -1 || (isTokenId(value) && value > 0), {
    error: "expected an integer at least 1, or -1",
  }).meta({ type: "integer", minimum: -1 }).nullish(),
  temperature: numberFrom(0, 100).nullish(),
  top_p: numberFrom(0, 1).nullish(),
  top_k: integerFrom(-1).nullish(),
  min_p: numberFrom(0, 1).nullish(),
  frequency_penalty: numberFrom(-2, 2).nullish(),
  presence_penalty: numberFrom(-2, 2).nullish(),
  repetition_penalty: numberFrom(0.01, 100).nullish(),
  // The same, as llama-server calls it.
  repeat_penalty: numberFrom(0.01, 100).nullish(),
  logit_bias: logitBias.nullish(),
  allowed_token_ids: tokenIds(MAX_ALLOWED_TOKENS).refine((ids) => ids.length > 0, {
    error: "expected at least one token id",
  }).nullish(),
  bad_words: listOf(badWord, MAX_BAD_WORDS, "expected an array of words").nullish(),
  // Any integer, even one beyond 2^53: seeds count modulo 2^32, but for -1, which is another one each time.
  seed: z.number({ error: "expected an integer" }).refine(Number.isInteger, { error: "expected an integer" }).nullish(),
  stop: stop.nullish(),
  stop_token_ids: tokenIds(MAX_STOP_TOKENS).nullish(),
  // vLLM's: neither stop tokens nor stop strings end the reply before.
  min_tokens: integerFrom(0).nullish(),
  ignore_eos: boolean.nullish(),
  include_stop_str_in_output: boolean.nullish(),
  skip_special_tokens: boolean.nullish(),
  spaces_between_special_tokens: boolean.nullish(),
  add_special_tokens: boolean.nullish(),
  // vLLM's: who waits is let in lowest first.
  priority: z.number({ error: PRIORITY_ERROR }).int({ error: PRIORITY_ERROR }).nullish(),
  // vLLM's: how many likely tokens are reported at each place of the prompt.
  prompt_logprobs: integerFrom(0, MAX_TOP_LOGPROBS).nullish(),
  return_tokens_as_token_ids: boolean.nullish(),
  kv_cache: kvCache.nullish(),
  ...structuredOutputFields,
};

const sharedObject = z.object(sharedFields);
/** What both kinds of request ask of the engine. */
export type GenerationFields = z.infer<typeof sharedObject>;

/** What fields of one request must not say beside each other. */
export function checkTogether(request: GenerationFields, context: z.core.$RefinementCtx<unknown>): void {
  const differ = (name: keyof GenerationFields, other: keyof GenerationFields) => {
    const [value, otherValue] = [request[name], request[other]];
    if (typeof value !== "number" || typeof otherValue !== "number" || value === otherValue) return;
    context.addIssue({ code: "custom", path: [name], message: `expected it to be absent beside another ${other}` });
  };
  differ("n_predict", "max_tokens");
  if (request.stream && typeof request.prompt_logprobs === "number") {
    context.addIssue({
      code: "custom",
      path: ["prompt_logprobs"],
      message: "expected it to be absent beside stream, as in vLLM",
    });
  }
  differ("repeat_penalty", "repetition_penalty");
  if (request.spaces_between_special_tokens && request.skip_special_tokens === false) {
    context.addIssue({
      code: "custom",
      path: ["spaces_between_special_tokens"],
      message: "expected it to be false: special tokens are shown without spaces",
    });
  }
}
