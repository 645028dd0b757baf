/**
 * @file A conversation on its way to the engine and its reply on the way back, the same for every API that holds conversations.
 *
 *     ChatRequest --template--> text --tokenizer--> tokens --plan--> GenerationRun --chatDeltas--> the API's own events
 *
 * Other APIs than chat completions translate their requests into a {@link ChatRequest}, and the deltas into what they answer.
 */
import type { MessageRange } from "../../contract/generation.ts";
import type { ChatMessage } from "../../text/chat_template.ts";
import { messageRows } from "../../text/message_ranges.ts";
import type { RouteContext } from "../context.ts";
import type { ChatRequest, MessageField } from "../requests/chat_request.ts";
import type { TemplateMembers } from "../requests/lossless_members.ts";
import type { PlacedToken } from "./choice_text.ts";
import { encodeTexts } from "./encode.ts";
import type { FinishReason } from "./outcome.ts";
import { planGeneration, requireRoom } from "./plan.ts";
import { GenerationRun, type RequestOrigin } from "./run.ts";

/** A piece of a tool call: the first one of a call has everything but arguments, later ones have these only. */
export interface ToolCallDelta {
  /** Counts the calls of one reply. */
  readonly index: number;
  readonly id?: string;
  readonly type?: "function";
  readonly function: { readonly name?: string; readonly arguments: string };
}

/** A piece of one reply. */
export interface ChatDelta {
  /** Counts the replies to one conversation. */
  readonly index: number;
  /** As in `choices[].delta` of a chat completion's chunk; empty in the last piece. */
  readonly delta: {
    readonly content?: string;
    readonly reasoning_content?: string;
    readonly tool_calls?: readonly ToolCallDelta[];
  };
  /** Tokens whose text has begun to be shown. */
  readonly tokens: readonly PlacedToken[];
  /** Set in the reply's last piece. */
  readonly finishReason: FinishReason | "tool_calls" | null;
  /** The stop string that ended it, if one did. */
  readonly stopString: string | null;
}

/** How a request is run. */
export interface ChatTask extends RequestOrigin {
  readonly members: TemplateMembers;
  /** Most tokens of a reply; unlike the request's own limit, no promise that the context has room for them. */
  readonly mostTokens?: number;
}

/** @throws {HttpError} {@link ChatTemplateError} {@link UnservableRequestError} {@link QueueFullError} */
export async function startChat(
  context: RouteContext,
  request: ChatRequest,
  { members, mostTokens = Infinity, ...origin }: ChatTask,
): Promise<GenerationRun> {
  const { engine, chatTemplate } = context;
  requireRoom(1, request.n ?? 1, engine.maxSequences, "messages");
  const { tokens, messages } = await encodeChat(context, request, { members, client: origin.client });
  const stop = [...(request.stop ?? []), ...chatTemplate.stopStrings];
  const plan = planGeneration(context, { ...request, stop }, [tokens], {
    promptField: "messages",
    topLogprobs: request.logprobs ? request.top_logprobs ?? 0 : undefined,
    maxTokens: request.max_completion_tokens,
    // As long as the context lets it.
    defaultMaxTokens: mostTokens,
    continuation: request.continue_final_message === true,
    messages,
  });
  return new GenerationRun(context, plan, origin);
}

/** A conversation as the model reads it. */
export interface ChatPrompt {
  readonly text: string;
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** Where the messages are in the text, as far as the template leaves them as they are, and the same of the tokens. */
  readonly texts: readonly MessageRange[];
  readonly messages: readonly MessageRange[];
}

/** The prompt of a conversation. @throws as {@link startChat} */
export async function encodeChat(
  context: RouteContext,
  request: ChatRequest,
  { members, client }: { members: TemplateMembers; client: AbortSignal },
): Promise<ChatPrompt> {
  const { text, encoding, messages: texts } = renderChat(context, request, members);
  const [tokens] = await encodeTexts(context, [text], { field: "messages", client, options: encoding });
  return { text, tokens, texts, messages: messageRows(context.text.tokenizer, text, tokens, texts) };
}

/** The prompt as a text, and how to encode it. @throws {ChatTemplateError} {@link HttpError} */
function renderChat({ chatTemplate }: RouteContext, request: ChatRequest, members: TemplateMembers) {
  const tools = request.tools?.length && request.tool_choice !== "none"
    ? members.value("tools") as readonly unknown[]
    : undefined;
  const { text, encoding, messages } = chatTemplate.render({
    messages: request.messages.map(templateMessage),
    tools,
    continueFinalMessage: request.continue_final_message === true,
    kwargs: templateVariables(request, members),
  });
  return {
    text: text.toWellFormed(),
    messages,
    encoding: { ...encoding, ...request.add_special_tokens === false && { addSpecial: false } },
  };
}

/** The pieces of all replies as they come. Read once. @throws {HttpError} if the generation failed */
export async function* chatDeltas({ deltas }: GenerationRun): AsyncGenerator<ChatDelta, void> {
  for await (const { index, text, tokens, finishReason, stopString } of deltas) {
    if (text || tokens.length > 0) {
      yield { index, delta: { content: text }, tokens, finishReason: null, stopString: null };
    }
    if (finishReason) yield { index, delta: {}, tokens: [], finishReason, stopString };
  }
}

/** A message as chat templates know it. */
function templateMessage({ role, content, ...fields }: MessageField): ChatMessage {
  return {
    // Templates ask whether a field is defined; one that a client sent as null must not be.
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)),
    // Templates know no developers.
    role: role === "developer" ? "system" : role,
    content: content ?? null,
  };
}

/** What a request adds to the variables of the template. */
function templateVariables(
  { reasoning_effort, documents, chat_template_kwargs }: ChatRequest,
  members: TemplateMembers,
): Map<string, unknown> {
  const variables = new Map<string, unknown>();
  if (typeof reasoning_effort === "string") variables.set("reasoning_effort", reasoning_effort);
  if (documents) variables.set("documents", members.value("documents"));
  if (chat_template_kwargs) {
    for (const [name, value] of members.value("chat_template_kwargs") as Map<string, unknown>) {
      variables.set(name, value);
    }
  }
  return variables;
}
