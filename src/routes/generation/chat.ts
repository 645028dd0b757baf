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
import { type AnswerDelta, deltasOf, finishReasonOf } from "./answer_deltas.ts";
import { planAnswer } from "./answer_plan.ts";
import { type AnswerForm, AnswerReader } from "./answer_reader.ts";
import { encodeTexts } from "./encode.ts";
import type { FinishReason } from "./outcome.ts";
import { planGeneration, requireRoom } from "./plan.ts";
import { type CachePiece, GenerationRun, type RequestOrigin } from "./run.ts";
import { Turns } from "./turns.ts";

/** A piece of one reply. */
export interface ChatDelta {
  /** Counts the replies to one conversation. */
  readonly index: number;
  /** Empty in the last piece. */
  readonly delta: AnswerDelta;
  /** Tokens whose text has begun to be shown. */
  readonly tokens: readonly PlacedToken[];
  /** Tokens of the reply so far, those that are not shown among them. */
  readonly completionTokens: number;
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

/** A conversation at work. */
export interface ChatRun {
  readonly run: GenerationRun;
  /** How its answers are read. */
  readonly form: AnswerForm;
  /** Whether tokens are shown even where they bring no text. */
  readonly showsTokens: boolean;
}

/** @throws {HttpError} {@link ChatTemplateError} {@link UnservableRequestError} {@link QueueFullError} */
export async function startChat(
  context: RouteContext,
  request: ChatRequest,
  { members, mostTokens = Infinity, ...origin }: ChatTask,
): Promise<ChatRun> {
  const { engine, chatTemplate, text: { tokenizer } } = context;
  requireRoom(1, request.n ?? 1, engine.maxSequences, "messages");
  const { text, tokens, messages } = await encodeChat(context, request, { members, client: origin.client });
  const answer = planAnswer(request, chatTemplate, tokenizer, text);
  const prompt = new Uint32Array(tokens.length + answer.opening.length);
  prompt.set(tokens);
  prompt.set(answer.opening, tokens.length);
  const stop = [...(request.stop ?? []), ...chatTemplate.stopStrings];
  const plan = planGeneration(context, { ...request, stop }, [prompt], {
    promptField: "messages",
    topLogprobs: request.logprobs ? request.top_logprobs ?? 0 : undefined,
    maxTokens: request.max_completion_tokens,
    // As long as the context lets it.
    defaultMaxTokens: mostTokens,
    continuation: request.continue_final_message === true || answer.opening.length > 0,
    messages,
    grammar: answer.grammar,
    grammarAfter: answer.grammarAfter,
    grammarElse: answer.grammarElse,
    reasoning: answer.reasoning,
    shown: answer.form.shown,
  });
  return {
    run: new GenerationRun(context, plan, origin),
    form: answer.form,
    showsTokens: request.logprobs === true,
  };
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
  const turns = new Turns();
  const messages = await messageRows(context.text.tokenizer, text, tokens, texts, () => turns.next());
  return { text, tokens, texts, messages };
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
export async function* chatDeltas({ run, form, showsTokens }: ChatRun): AsyncGenerator<ChatDelta | CachePiece, void> {
  const readers = new Map<number, AnswerReader>();
  for await (const piece of run.deltas) {
    if ("kvCache" in piece) {
      yield piece;
      continue;
    }
    const { index, text, tokens, completionTokens, finishReason, stopString } = piece;
    const reader = readers.get(index) ?? new AnswerReader(form);
    readers.set(index, reader);
    const deltas = deltasOf([reader.push(text), ...finishReason ? [reader.flush()] : []], reader);
    // Log-probabilities come with whatever is shown next.
    if (deltas.length === 0 && tokens.length > 0 && showsTokens) deltas.push({ content: "" });
    for (const [at, delta] of deltas.entries()) {
      const shown = at === 0 ? tokens : [];
      yield { index, delta, tokens: shown, completionTokens, finishReason: null, stopString: null };
    }
    if (!finishReason) continue;
    const reason = finishReasonOf(finishReason, reader.callCount > 0);
    yield { index, delta: {}, tokens: [], completionTokens, finishReason: reason, stopString };
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
  if (typeof reasoning_effort === "string") {
    variables.set("reasoning_effort", reasoning_effort);
    // As in vLLM: most templates know of thoughts only whether there are to be some.
    variables.set("enable_thinking", reasoning_effort !== "none");
  }
  if (documents) variables.set("documents", members.value("documents"));
  if (chat_template_kwargs) {
    for (const [name, value] of members.value("chat_template_kwargs") as Map<string, unknown>) {
      variables.set(name, value);
    }
  }
  return variables;
}
