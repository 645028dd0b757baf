/** @file The body of `POST /v1/chat/completions`. */
import { z } from "zod";
import { boolean, integerFrom, listOf, text } from "./checks.ts";
import { refusals, REFUSED_CHAT_FIELDS } from "./refused_fields.ts";
import { checkTogether, MAX_TOP_LOGPROBS, sharedFields } from "./shared_fields.ts";

const MAX_MESSAGES = 2048;
const MAX_PARTS = 2048;
const MAX_TOOLS = 128;
const MAX_TOOL_CALLS = 128;
const MAX_DOCUMENTS = 128;

/** One part of a message's content. */
interface TextPart {
  readonly type: "text";
  readonly text: string;
}

const partsError =
  'expected a string or an array of {"type": "text", "text": ...} parts: other kinds are not supported';

// By hand, as prompts are.
function isContent(value: unknown): value is string | TextPart[] | null {
  if (typeof value === "string" || value === null) return true;
  return Array.isArray(value) && value.length <= MAX_PARTS &&
    value.every((part) => part?.type === "text" && typeof part.text === "string");
}

const toolCall = z.looseObject({
  function: z.looseObject({ name: text, arguments: text }, { error: "expected an object" }),
}, { error: "expected an object" });

// Loose: templates know further fields, such as `reasoning_content`.
const message = z.looseObject({
  role: z.enum(["developer", "system", "user", "assistant", "tool"], {
    error: 'expected "system", "developer", "user", "assistant" or "tool"',
  }),
  content: z.custom<string | TextPart[] | null>(isContent, { error: partsError }).optional(),
  name: text.nullish(),
  reasoning_content: text.nullish(),
  tool_call_id: text.nullish(),
  tool_calls: listOf(toolCall, MAX_TOOL_CALLS, "expected an array").nullish(),
}, { error: "expected an object with role and content" })
  .refine((value) => value.role === "assistant" || typeof value.content === "string" || Array.isArray(value.content), {
    path: ["content"],
    error: partsError,
  });

/** One message of a conversation. */
export type MessageField = z.infer<typeof message>;

const toolError = 'expected {"type": "function", "function": {"name": ...}}: other kinds are not supported';
const tool = z.looseObject({
  type: z.literal("function", { error: toolError }),
  function: z.looseObject({
    name: z.string({ error: toolError }).min(1, { error: "expected at least one character" }),
    parameters: z.looseObject({}, { error: "expected a JSON schema" }).nullish(),
    strict: boolean.nullish(),
  }, { error: toolError }),
}, { error: toolError });

const choiceError = 'expected "auto", "none", "required" or {"type": "function", "function": {"name": ...}}';
const toolChoice = z.union([
  z.enum(["auto", "none", "required"]),
  z.looseObject({ type: z.literal("function"), function: z.looseObject({ name: z.string() }) }),
], { error: choiceError });

function isBegunReply(messages: readonly MessageField[]): boolean {
  const { role, content } = messages.at(-1)!;
  return messages.length > 1 && role === "assistant" && typeof content === "string";
}

/** What a template is given by the server itself. */
const RESERVED_VARIABLES = ["messages", "tools", "add_generation_prompt", "continue_final_message", "chat_template"];

const object = (expected: string) => z.looseObject({}, { error: expected });

/** `POST /v1/chat/completions`. */
export const chatRequest = z.object({
  ...sharedFields,
  ...refusals(REFUSED_CHAT_FIELDS),
  messages: listOf(message, MAX_MESSAGES, "expected an array of messages")
    .refine((messages) => messages.length > 0, { error: "expected at least one message" }),
  max_completion_tokens: integerFrom(1).nullish(),
  logprobs: boolean.nullish(),
  top_logprobs: integerFrom(0, MAX_TOP_LOGPROBS).nullish(),
  tools: listOf(tool, MAX_TOOLS, "expected an array of tools").nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: boolean.nullish(),
  // llama-server's: false leaves calls in the text.
  parse_tool_calls: boolean.nullish(),
  // vLLM's, then llama-server's.
  include_reasoning: boolean.nullish(),
  thinking_token_budget: integerFrom(0).nullish(),
  reasoning_budget: integerFrom(-1).nullish(),
  reasoning_format: z.enum(["auto", "deepseek", "none"], { error: 'expected "auto", "deepseek" or "none"' }).nullish(),
  modalities: z.unknown().refine(
    (value) =>
      value === undefined || value === null || (Array.isArray(value) && value.every((item) => item === "text")),
    { error: 'expected ["text"]: only text is supported' },
  ).optional(),
  // The next three are variables of the template.
  reasoning_effort: text.nullish(),
  documents: listOf(object("expected an object"), MAX_DOCUMENTS, "expected an array of documents").nullish(),
  chat_template_kwargs: object("expected an object").nullish(),
  continue_final_message: boolean.nullish(),
  add_generation_prompt: boolean.nullish(),
}, { error: "expected a JSON object" })
  .refine((request) => !request.top_logprobs || request.logprobs === true, {
    path: ["top_logprobs"],
    error: "expected logprobs to be true beside it",
  })
  .refine(
    ({ max_completion_tokens: most, max_tokens, n_predict }) =>
      !most || [max_tokens, n_predict].every((other) => (other ?? most) === most),
    { path: ["max_completion_tokens"], error: "expected it to be absent beside another max_tokens" },
  )
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
  })
  .refine(({ chat_template_kwargs }) => RESERVED_VARIABLES.every((name) => !(name in (chat_template_kwargs ?? {}))), {
    path: ["chat_template_kwargs"],
    error: `expected none of ${RESERVED_VARIABLES.join(", ")}, which are not for it to set`,
  })
  .superRefine(checkTogether)
  .superRefine(checkTools);

/** What a choice among tools must have beside it. */
function checkTools(
  { tools, tool_choice: choice }: {
    tools?: z.infer<typeof tool>[] | null;
    tool_choice?: z.infer<typeof toolChoice> | null;
  },
  context: z.core.$RefinementCtx<unknown>,
): void {
  const problem = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
  const names = (tools ?? []).map(({ function: { name } }) => name);
  if (choice === "required" && names.length === 0) problem("tool_choice", "expected tools beside it");
  if (typeof choice === "object" && choice !== null && !names.includes(choice.function.name)) {
    problem("tool_choice", "expected the name of one of the tools");
  }
}

/** Bodies of `POST /apply-template`: those of chat completions, and what is to be told of the prompt. */
export const applyTemplateRequest = chatRequest.safeExtend({
  return_token_strs: boolean.nullish().describe("Adds token_strs, the text of each token"),
});

/** A valid body of `POST /v1/chat/completions`. */
export type ChatRequest = z.infer<typeof chatRequest>;
