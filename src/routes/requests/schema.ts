/** @file What requests may hold. Unknown fields are ignored; known fields that Ebb cannot honour are refused by name. */
import { z } from "zod";
import type { RouteContext } from "../context.ts";
import { unavailableError } from "../readiness.ts";
import { HttpError } from "../errors.ts";

// Every check carries the same words, so that whichever part of it fails, the sentence is whole:
// "temperature is 7; expected a number from 0 to 2".

function numberFrom(minimum: number, maximum: number) {
  const error = `expected a number from ${minimum} to ${maximum}`;
  return z.number({ error }).min(minimum, { error }).max(maximum, { error });
}

function integerFrom(minimum: number, maximum = Number.MAX_SAFE_INTEGER) {
  const range = maximum === Number.MAX_SAFE_INTEGER ? `at least ${minimum}` : `from ${minimum} to ${maximum}`;
  const error = `expected an integer ${range}`;
  return z.number({ error }).int({ error }).min(minimum, { error }).max(maximum, { error });
}

const boolean = z.boolean({ error: "expected true or false" });
const text = z.string({ error: "expected a string" });

/** A field that other servers honour: only values that ask for nothing are accepted. */
function refused(reason: string, asksForNothing: (value: unknown) => boolean = () => false) {
  return z.unknown().refine((value) => value === undefined || value === null || asksForNothing(value), {
    error: `expected it to be absent: ${reason}`,
  }).optional();
}

const isEmpty = (value: unknown) => value === "" || (Array.isArray(value) && value.length === 0);

const MAX_STOP_STRINGS = 16;
const MAX_TOP_LOGPROBS = 20;
/** OpenAI's own bound. */
const MAX_CHOICES = 128;
const MAX_PROMPTS = 1024;

const stopError = `expected a non-empty string or an array of at most ${MAX_STOP_STRINGS} of them`;
const stopString = z.string({ error: stopError }).min(1, { error: stopError });
const stop = z.union([
  stopString.transform((value) => [value]),
  z.array(stopString).max(MAX_STOP_STRINGS, { error: stopError }),
], { error: stopError });

const biasError = "expected an object of token ids and biases from -100 to 100";
const bias = z.number({ error: biasError }).min(-100, { error: biasError }).max(100, { error: biasError });
const logitBias = z.record(z.string().regex(/^\d+$/, { error: biasError }), bias, { error: biasError });

/** Fields that completions and chat completions share. */
const sharedFields = {
  model: text.nullish(),
  stream: boolean.nullish(),
  stream_options: z.object({ include_usage: boolean.nullish() }, { error: "expected an object" }).nullish(),
  n: integerFrom(1, MAX_CHOICES).nullish(),
  max_tokens: integerFrom(1).nullish(),
  temperature: numberFrom(0, 100).nullish(),
  top_p: numberFrom(0, 1).nullish(),
  top_k: integerFrom(-1).nullish(),
  min_p: numberFrom(0, 1).nullish(),
  frequency_penalty: numberFrom(-2, 2).nullish(),
  presence_penalty: numberFrom(-2, 2).nullish(),
  repetition_penalty: numberFrom(0.01, 100).nullish(),
  logit_bias: logitBias.nullish(),
  // Any integer, even one beyond 2^53: seeds count modulo 2^32.
  seed: z.number({ error: "expected an integer" }).refine(Number.isInteger, { error: "expected an integer" }).nullish(),
  stop: stop.nullish(),
  stop_token_ids: z.array(integerFrom(0), { error: "expected an array of token ids" }).nullish(),
  ignore_eos: boolean.nullish(),
  include_stop_str_in_output: boolean.nullish(),
  skip_special_tokens: boolean.nullish(),
  // Its contents are the business of the policies.
  kv_cache: z.record(z.string(), z.unknown(), { error: "expected an object with policy, budget and options" })
    .nullish(),
  min_tokens: refused("a minimum length is not supported", (value) => value === 0),
  bad_words: refused("forbidding words is not supported, use logit_bias", isEmpty),
  allowed_token_ids: refused("allowing only some tokens is not supported, use logit_bias"),
  prompt_logprobs: refused("log-probabilities of the prompt are not supported"),
  truncate_prompt_tokens: refused("prompts are never truncated"),
};

type SharedFields = z.ZodObject<typeof sharedFields>;
/** What both kinds of request ask of the engine. */
export type GenerationFields = z.infer<SharedFields>;

/** A prompt, or several: texts or token ids. Checked by hand: a union would walk a long array once per alternative. */
export type PromptField = string | string[] | number[] | number[][];

function isPrompt(value: unknown): value is PromptField {
  if (typeof value === "string") return true;
  if (!Array.isArray(value) || value.length === 0) return false;
  if (typeof value[0] !== "number" && value.length > MAX_PROMPTS) return false;
  if (typeof value[0] === "string") return value.every((item) => typeof item === "string");
  const isTokenList = (list: unknown) =>
    Array.isArray(list) && list.length > 0 && list.every((item) => Number.isSafeInteger(item) && item >= 0);
  return Array.isArray(value[0]) ? value.every(isTokenList) : isTokenList(value);
}

/** `POST /v1/completions`. */
export const completionRequest = z.object({
  ...sharedFields,
  prompt: z.custom<PromptField>(isPrompt, {
    error: "expected a string, an array of strings, an array of token ids, or an array of those, none of them empty, " +
      `and at most ${MAX_PROMPTS} prompts`,
  }),
  echo: boolean.nullish(),
  logprobs: integerFrom(0, MAX_TOP_LOGPROBS).nullish(),
  best_of: refused("choosing among candidates is not supported, use n", (value) => value === 1),
  suffix: refused("inserting text before a suffix is not supported", isEmpty),
}, { error: "expected a JSON object" })
  .refine((request) => !(request.echo && typeof request.logprobs === "number"), {
    path: ["echo"],
    error: "expected no logprobs beside it: log-probabilities of the prompt are not supported",
  });

const partsError =
  'expected a string or an array of {"type": "text", "text": ...} parts: other kinds are not supported';
const textParts = z.array(z.object({ type: z.literal("text"), text: z.string() }));
const contentField = z.union([z.string(), textParts, z.null()], { error: partsError }).optional();

const toolCall = z.looseObject({
  function: z.looseObject({ name: text, arguments: text }, { error: "expected an object" }),
}, { error: "expected an object" });

const message = z.object({
  role: z.enum(["developer", "system", "user", "assistant", "tool"], {
    error: 'expected "system", "developer", "user", "assistant" or "tool"',
  }),
  content: contentField,
  name: text.nullish(),
  tool_call_id: text.nullish(),
  tool_calls: z.array(toolCall, { error: "expected an array" }).nullish(),
}, { error: "expected an object with role and content" })
  .refine((value) => value.role === "assistant" || typeof value.content === "string" || Array.isArray(value.content), {
    path: ["content"],
    error: partsError,
  });

/** One message of a conversation. */
export type MessageField = z.infer<typeof message>;

const hasType = (value: unknown, type: string) => (value as { type?: unknown }).type === type;

function isBegunReply(messages: readonly MessageField[]): boolean {
  const { role, content } = messages.at(-1)!;
  return messages.length > 1 && role === "assistant" && typeof content === "string";
}

/** `POST /v1/chat/completions`. */
export const chatRequest = z.object({
  ...sharedFields,
  messages: z.array(message, { error: "expected an array of messages" })
    .min(1, { error: "expected at least one message" }),
  max_completion_tokens: integerFrom(1).nullish(),
  logprobs: boolean.nullish(),
  top_logprobs: integerFrom(0, MAX_TOP_LOGPROBS).nullish(),
  tools: z.array(z.looseObject({}), { error: "expected an array of tools" }).nullish(),
  tool_choice: z.unknown().refine(
    (value) => value === undefined || value === null || value === "auto" || value === "none",
    {
      error: 'expected "auto" or "none": forcing a tool call is not supported',
    },
  ).optional(),
  response_format: z.unknown().refine((value) => value === undefined || value === null || hasType(value, "text"), {
    error: 'expected {"type": "text"}: structured output is not supported',
  }).optional(),
  modalities: refused(
    "only text is supported",
    (value) => Array.isArray(value) && value.every((item) => item === "text"),
  ),
  audio: refused("only text is supported"),
  functions: refused("use tools instead", isEmpty),
  function_call: refused("use tools instead", (value) => value === "auto" || value === "none"),
  chat_template: refused("the model's own chat template is used"),
  continue_final_message: boolean.nullish(),
  add_generation_prompt: boolean.nullish(),
}, { error: "expected a JSON object" })
  .refine((request) => !request.top_logprobs || request.logprobs === true, {
    path: ["top_logprobs"],
    error: "expected logprobs to be true beside it",
  })
  .refine(({ messages, continue_final_message }) => !continue_final_message || isBegunReply(messages), {
    path: ["continue_final_message"],
    error: "expected the last of several messages to be the assistant's, with a string as its content",
  })
  // As in vLLM, whose field it is.
  .refine((request) => !(request.continue_final_message && request.add_generation_prompt), {
    path: ["add_generation_prompt"],
    error: "expected it to be false beside continue_final_message",
  })
  .refine((request) => request.continue_final_message || request.add_generation_prompt !== false, {
    path: ["add_generation_prompt"],
    error: "expected it to be absent: a reply is always started",
  });

/** Problems of one request that are named in one reply. */
const MAX_PROBLEMS = 3;
const MAX_SHOWN_CHARACTERS = 60;

/**
 * Reads and validates a request's body, whatever its content type.
 *
 * @throws {HttpError} 400, naming each field at fault, its value and what was expected; 499 if the client has gone; 503 if
 * the server stopped taking requests before the body had come
 */
export async function readRequest<Schema extends z.ZodType>(
  context: RouteContext,
  source: { text(): Promise<string> },
  schema: Schema,
): Promise<z.infer<Schema>> {
  const raw = await readBody(context, source);
  let body: unknown;
  try {
    body = JSON.parse(raw);
  } catch (error) {
    const reason = raw.trim() === "" ? "is empty" : `is not valid JSON (${(error as Error).message})`;
    throw new HttpError(400, `The request body ${reason}; send a JSON object`, { code: "invalid_json" });
  }
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const { issues } = result.error;
  const sentences = issues.slice(0, MAX_PROBLEMS).map(({ path, message }) =>
    `${pathText(path) || "The request body"} ${shownValue(valueAt(body, path))}; ${message}`
  );
  throw new HttpError(400, sentences.join(". "), { param: pathText(issues[0].path) || null });
}

/** @throws {HttpError} 503 if the server stops taking requests before the body has come */
async function readBody(context: RouteContext, source: { text(): Promise<string> }): Promise<string> {
  const drained = Promise.withResolvers<never>();
  const giveUp = () => drained.reject(unavailableError("draining"));
  context.drain?.addEventListener("abort", giveUp);
  try {
    return await Promise.race([source.text(), drained.promise]);
  } finally {
    context.drain?.removeEventListener("abort", giveUp);
  }
}

/** `["messages", 0, "role"]` as `messages[0].role`. */
function pathText(path: readonly PropertyKey[]): string {
  return path.map((key, at) => typeof key === "number" ? `[${key}]` : at === 0 ? String(key) : `.${String(key)}`).join(
    "",
  );
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((value: any, key) => value?.[key], body);
}

function shownValue(value: unknown): string {
  if (value === undefined) return "is missing";
  const shown = JSON.stringify(value);
  return `is ${shown.length > MAX_SHOWN_CHARACTERS ? `${shown.slice(0, MAX_SHOWN_CHARACTERS)}...` : shown}`;
}
