/**
 * @file Fields of OpenAI's API, of vLLM and of llama-server that would change an answer, and that Ebb cannot honour: a
 * request that uses one is refused by its name. With the values listed, a field asks for nothing, and is let pass.
 *
 * What changes no answer, such as `user`, `service_tier` or `cache_prompt`, is not here, and is ignored.
 */
import { refused } from "./checks.ts";

/** Why a field is refused, and the values with which it asks for nothing; an empty list stands for every empty list. */
type Refusal = readonly [reason: string, ...neutral: readonly unknown[]];

const LAZY = "a grammar holds from the beginning of the answer";
const MIROSTAT = "mirostat sampling is not supported";
const DRY = "DRY sampling is not supported";
const XTC = "XTC sampling is not supported";
const REASONING = "thoughts are told apart from answers in chat completions alone";
const TEXT_ONLY = "only text is supported";
const MODERATION = "nothing is moderated here";
const STATELESS = "nothing is kept between requests: send the whole conversation as input";
const PROMPT_LOGPROBS = "log-probabilities of prompts are told by completions and chat completions";

/** In requests of both kinds. */
export const REFUSED_FIELDS: Readonly<Record<string, Refusal>> = {
  // vLLM
  truncate_prompt_tokens: ["prompts are never truncated"],
  use_beam_search: ["beam search is not supported", false],
  length_penalty: ["beam search is not supported", 1],
  early_stopping: ["beam search is not supported", false],
  guided_decoding_backend: ["there is one backend"],
  guided_whitespace_pattern: ["JSON is written on one line"],
  structural_tag: ["structural tags are not supported", ""],
  logits_processors: ["logits processors are not supported", []],
  vllm_xargs: ["arguments of vLLM's own are not known"],
  mm_processor_kwargs: [TEXT_ONLY],
  media_io_kwargs: [TEXT_ONLY],
  prompt_embeds: ["prompts are texts or tokens"],
  return_token_ids: ["token ids are not reported", false],
  repetition_detection: ["repetition does not end a reply"],
  // llama-server
  grammar_lazy: [LAZY, false],
  grammar_triggers: [LAZY, []],
  typical_p: ["locally typical sampling is not supported", 1],
  top_n_sigma: ["top-n-sigma sampling is not supported", -1, 0],
  min_keep: ["filters keep one token at least, not more", 0, 1],
  xtc_probability: [XTC, 0],
  dry_multiplier: [DRY, 0],
  mirostat: [MIROSTAT, 0],
  dynatemp_range: ["dynamic temperature is not supported", 0],
  adaptive_target: ["adaptive sampling is not supported", -1],
  samplers: ["the order of filters is fixed"],
  repeat_last_n: ["penalties look at all of the prompt and the answer", -1],
  penalize_nl: ["newlines are penalised as all tokens are", true],
  n_indent: ["a minimum of indentation is not supported", 0],
  n_keep: ["a context is never shifted", 0, -1],
  n_discard: ["a context is never shifted", 0],
  n_probs: ["use logprobs", 0],
  post_sampling_probs: ["log-probabilities are the model's own", false],
  t_max_predict_ms: ["a limit of time is not supported, use max_tokens", 0, -1],
  image_data: [TEXT_ONLY, []],
  multimodal_data: [TEXT_ONLY, []],
  lora: ["adapters are not supported", []],
  control_vectors: ["control vectors are not supported", []],
  response_fields: ["replies have all of their fields", []],
  return_tokens: ["token ids are not reported", false],
  timings_per_token: ["times are not reported", false],
  return_progress: ["progress is not reported", false],
  // Of servers near to these
  enable_thinking: ["give it in chat_template_kwargs"],
};

/** In `POST /v1/completions` alone. */
export const REFUSED_COMPLETION_FIELDS: Readonly<Record<string, Refusal>> = {
  thinking_token_budget: [REASONING],
  reasoning_budget: [REASONING, -1],
  input_prefix: ["use prompt", ""],
  input_suffix: ["use suffix", ""],
  input_extra: ["use prompt", []],
};

/** In `POST /v1/chat/completions` alone. */
export const REFUSED_CHAT_FIELDS: Readonly<Record<string, Refusal>> = {
  audio: [TEXT_ONLY],
  functions: ["use tools instead", []],
  function_call: ["use tools instead", "auto", "none"],
  web_search_options: ["searching the web is not supported"],
  verbosity: ["how long answers are is up to the model", "medium"],
  chat_template: ["the model's own chat template is used"],
  echo: ["messages are not repeated", false],
  thinking_forced_open: ["whether thoughts have begun is up to the chat template", false],
  moderation: [MODERATION],
  // Of servers near to OpenAI's.
  thinking: ["give enable_thinking in chat_template_kwargs"],
  reasoning: ["use reasoning_effort"],
  max_output_tokens: ["use max_completion_tokens"],
};

/** In `POST /v1/responses` alone: what nobody keeps here, and what chat completions call otherwise. */
export const REFUSED_RESPONSES_FIELDS: Readonly<Record<string, Refusal>> = {
  previous_response_id: [STATELESS],
  conversation: [STATELESS],
  prompt: ["no prompts are kept here: send instructions and input"],
  background: ["replies are not kept: read it as it is made", false],
  truncation: ["input is never truncated", "disabled"],
  context_management: ["nothing is taken out of a conversation", []],
  moderation: [MODERATION],
  messages: ["use input"],
  max_tokens: ["use max_output_tokens"],
  max_completion_tokens: ["use max_output_tokens"],
  n_predict: ["use max_output_tokens"],
  response_format: ["use text.format"],
  reasoning_effort: ["use reasoning.effort"],
  logprobs: ['use "include": ["message.output_text.logprobs"]', false],
  prompt_logprobs: [PROMPT_LOGPROBS],
  n: ["a response is one reply", 1],
};

/** In `POST /v1/messages` alone. */
export const REFUSED_MESSAGES_FIELDS: Readonly<Record<string, Refusal>> = {
  container: ["nothing is run here"],
  mcp_servers: ["no other servers are called", []],
  output_format: ["use output_config.format"],
  response_format: ["use output_config.format"],
  reasoning_effort: ["use output_config.effort"],
  max_completion_tokens: ["use max_tokens"],
  stop: ["use stop_sequences"],
  logprobs: ["log-probabilities are not told here", false],
  prompt_logprobs: [PROMPT_LOGPROBS],
  n: ["a message is one reply", 1],
};

/** The checks of a table of refusals. */
export function refusals<Table extends Readonly<Record<string, Refusal>>>(table: Table) {
  return Object.fromEntries(
    Object.entries(table).map(([name, [reason, ...neutral]]) => [name, refused(reason, asksForNothing(neutral))]),
  ) as { [Name in keyof Table]: ReturnType<typeof refused> };
}

function asksForNothing(neutral: readonly unknown[]): (value: unknown) => boolean {
  const empty = neutral.some(Array.isArray);
  return (value) => neutral.includes(value) || (empty && Array.isArray(value) && value.length === 0);
}
