/** @file The bodies of `POST /v1/messages` and `POST /v1/messages/count_tokens`. */
import { z } from "zod";
import { integerFrom, listOf, refused, text } from "../requests/checks.ts";
import { refusals, REFUSED_MESSAGES_FIELDS } from "../requests/refused_fields.ts";
import { samplingFields } from "../requests/sampling_fields.ts";

const MAX_MESSAGES = 4096;
const MAX_BLOCKS = 2048;
const MAX_TOOLS = 256;
const MAX_STOP_SEQUENCES = 16;

const textBlock = z.looseObject({ type: z.literal("text"), text });
const TEXT_ONLY =
  'expected a string or an array of {"type": "text", "text": ...} blocks: other kinds are not supported';
const isText = (value: unknown): value is TextContent =>
  typeof value === "string" || (Array.isArray(value) && value.length <= MAX_BLOCKS &&
    value.every((block) => block?.type === "text" && typeof block.text === "string"));
const textContent = z.custom<TextContent>(isText, { error: TEXT_ONLY });

/** A text, whole or in blocks. */
export type TextContent = string | readonly { readonly type: "text"; readonly text: string }[];

const block = z.discriminatedUnion("type", [
  textBlock,
  z.looseObject({ type: z.literal("thinking"), thinking: text }),
  z.looseObject({ type: z.literal("redacted_thinking") }),
  z.looseObject({
    type: z.literal("tool_use"),
    id: text,
    name: text,
    input: z.looseObject({}, { error: "expected an object" }),
  }),
  z.looseObject({ type: z.literal("tool_result"), tool_use_id: text, content: textContent.nullish() }),
], { error: "expected a block of type text, thinking, tool_use or tool_result: this model reads text only" });

/** One block of a message. */
export type Block = z.infer<typeof block>;

const content = z.unknown().transform((value) => typeof value === "string" ? [{ type: "text", text: value }] : value)
  .pipe(listOf(block, MAX_BLOCKS, "expected a string or an array of blocks"));

const message = z.looseObject({
  role: z.enum(["user", "assistant", "system"], { error: 'expected "user" or "assistant"' }),
  content,
}, { error: "expected an object with role and content" });

const formatError = 'expected {"type": "json_schema", "schema": ...}';

const isHarmlessEdit = (edit: unknown) => (edit as { keep?: unknown } | null)?.keep === "all";

const fields = {
  ...samplingFields,
  ...refusals(REFUSED_MESSAGES_FIELDS),
  messages: listOf(message, MAX_MESSAGES, "expected an array of messages")
    .refine((messages) => messages.length > 0, { error: "expected at least one message" }),
  system: textContent.nullish(),
  stop_sequences: listOf(
    text.min(1, { error: "expected a string that is not empty" }),
    MAX_STOP_SEQUENCES,
    "expected an array of strings",
  ).nullish(),
  tools: listOf(
    z.looseObject({ name: text.optional(), type: text.nullish() }, { error: "expected an object" }),
    MAX_TOOLS,
    "expected an array",
  ).nullish(),
  tool_choice: z.looseObject({
    type: z.enum(["auto", "any", "tool", "none"], { error: 'expected "auto", "any", "tool" or "none"' }),
    name: text.optional(),
    disable_parallel_tool_use: z.boolean().nullish(),
  }, { error: "expected an object with a type" }).nullish(),
  thinking: z.looseObject({
    type: z.enum(["enabled", "adaptive", "disabled"], { error: 'expected "enabled", "adaptive" or "disabled"' }),
    budget_tokens: integerFrom(0).nullish(),
  }, { error: "expected an object with a type" }).nullish(),
  output_config: z.looseObject({
    effort: text.nullish(),
    format: z.looseObject({ type: z.literal("json_schema", { error: formatError }) }, { error: formatError }).nullish(),
  }, { error: "expected an object" }).nullish(),
  context_management: refused(
    "nothing is taken out of a conversation",
    (value: any) => Array.isArray(value?.edits) && value.edits.every(isHarmlessEdit),
  ),
};

/** `POST /v1/messages/count_tokens`. */
export const countTokensRequest = z.object(fields, { error: "expected a JSON object" });

/** `POST /v1/messages`. */
export const messagesRequest = z.object({ ...fields, max_tokens: integerFrom(1) }, { error: "expected a JSON object" });

/** A valid body of either. */
export type MessagesRequest = z.infer<typeof countTokensRequest>;
