/** @file The body of `POST /v1/responses`. */
import { z } from "zod";
import { boolean, integerFrom, listOf, text } from "../requests/checks.ts";
import { refusals, REFUSED_RESPONSES_FIELDS } from "../requests/refused_fields.ts";
import { samplingFields } from "../requests/sampling_fields.ts";
import { MAX_TOP_LOGPROBS, sharedFields } from "../requests/shared_fields.ts";

const MAX_ITEMS = 4096;
const MAX_PARTS = 2048;
const MAX_TOOLS = 256;
const MAX_INCLUDES = 32;

const PART_TYPES = ["input_text", "output_text", "text", "summary_text", "reasoning_text"];
const partsError =
  'expected a string or an array of {"type": "input_text", "text": ...} parts: other kinds are not supported';

function isText(value: unknown): value is string | readonly { readonly text: string }[] {
  if (typeof value === "string") return true;
  return Array.isArray(value) && value.length <= MAX_PARTS &&
    value.every((part) => PART_TYPES.includes(part?.type) ? typeof part.text === "string" : part?.type === "refusal");
}

const content = z.custom<string | readonly { readonly text?: string; readonly refusal?: string }[]>(isText, {
  error: partsError,
});

const message = z.looseObject({
  type: z.literal("message").optional(),
  role: z.enum(["user", "assistant", "system", "developer"], {
    error: 'expected "user", "assistant", "system" or "developer"',
  }),
  content,
});
const functionCall = z.looseObject({
  type: z.literal("function_call"),
  call_id: text,
  name: text,
  arguments: text,
});
const functionOutput = z.looseObject({ type: z.literal("function_call_output"), call_id: text, output: content });
const reasoning = z.looseObject({
  type: z.literal("reasoning"),
  content: content.nullish(),
  summary: content.nullish(),
});

const ITEMS = { message, function_call: functionCall, function_call_output: functionOutput, reasoning };
const itemError = `expected an item of type ${Object.keys(ITEMS).join(", ")}: what came before has to be sent whole`;

const item = z.discriminatedUnion("type", [
  message.extend({ type: z.literal("message") }),
  functionCall,
  functionOutput,
  reasoning,
], {
  error: itemError,
});
// A message need not say what it is.
const typed = z.unknown().transform((value: any) =>
  typeof value === "object" && value !== null && value.type === undefined ? { ...value, type: "message" } : value
).pipe(item);

/** One entry of `input`. */
export type InputItem = z.infer<typeof item>;

const inputError = "expected a string or an array of items, at least one";
const input = z.unknown().transform((value) => typeof value === "string" ? [{ role: "user", content: value }] : value)
  .pipe(listOf(typed, MAX_ITEMS, inputError).refine((items) => items.length > 0, { error: inputError }))
  .meta({ description: "a string or an array of items" });

const formatError =
  'expected {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "name": ..., "schema": ...}';
const format = z.looseObject({ type: z.enum(["text", "json_object", "json_schema"], { error: formatError }) }, {
  error: formatError,
});

/** `POST /v1/responses`. */
export const responsesRequest = z.object({
  ...samplingFields,
  ...refusals(REFUSED_RESPONSES_FIELDS),
  stop: sharedFields.stop,
  input,
  instructions: text.nullish(),
  max_output_tokens: integerFrom(1).nullish(),
  top_logprobs: integerFrom(0, MAX_TOP_LOGPROBS).nullish(),
  include: listOf(text, MAX_INCLUDES, "expected an array of strings").nullish(),
  tools: listOf(
    z.looseObject({ type: text }, { error: "expected an object with a type" }),
    MAX_TOOLS,
    "expected an array",
  )
    .nullish(),
  tool_choice: z.union([
    z.enum(["auto", "none", "required"]),
    z.looseObject({ type: z.literal("function"), name: text }),
    z.looseObject({
      type: z.literal("allowed_tools"),
      mode: z.enum(["auto", "required"]),
      tools: z.array(z.looseObject({ type: text })),
    }),
  ], { error: 'expected "auto", "none", "required", a function or allowed_tools' }).nullish(),
  parallel_tool_calls: boolean.nullish(),
  text: z.looseObject({ format: format.nullish(), verbosity: text.nullish() }, {
    error: "expected an object",
  }).nullish(),
  reasoning: z.looseObject({ effort: text.nullish() }, { error: "expected an object" }).nullish(),
  metadata: z.record(z.string(), text, { error: "expected an object of strings" }).nullish(),
  store: boolean.nullish(),
}, { error: "expected a JSON object" });

/** A valid body of `POST /v1/responses`. */
export type ResponsesRequest = z.infer<typeof responsesRequest>;
