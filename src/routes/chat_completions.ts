/**
 * @file `POST /v1/chat/completions`: replies to conversations.
 *
 * Tools are offered to the model through its chat template. Its calls and its thoughts are told apart from its text.
 */
import type { Context } from "hono";
import type { ChatMessage } from "../text/chat_template.ts";
import { messageRows } from "../text/message_ranges.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { RouteContext, RouteEnvironment } from "./context.ts";
import { planAnswer } from "./generation/answer_plan.ts";
import { type AnswerForm, type AnswerPiece, AnswerReader } from "./generation/answer_reader.ts";
import type { FinishReason } from "./generation/outcome.ts";
import type { PlacedToken } from "./generation/choice_text.ts";
import { encodeTexts } from "./generation/encode.ts";
import { planGeneration, requireRoom } from "./generation/plan.ts";
import { GenerationRun } from "./generation/run.ts";
import { finiteLogprob, tokenDisplay } from "./generation/token_text.ts";
import { requireModel } from "./models.ts";
import { requireReady } from "./readiness.ts";
import { type ChatRequest, chatRequest, type MessageField } from "./requests/chat_request.ts";
import { LosslessMembers } from "./requests/lossless_members.ts";
import { readRequest } from "./requests/read.ts";
import { EVENT_STREAM_HEADERS, eventStream } from "./sse.ts";

/** Handles `POST /v1/chat/completions`. */
export function chatCompletionsHandler(context: RouteContext) {
  const { engine, text, chatTemplate } = context;
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request, text: body } = await readRequest(context, c.req.raw, chatRequest);
    requireModel(context, request.model);
    requireReady(context);
    requireRoom(1, request.n ?? 1, engine.maxSequences, "messages");
    const client = c.req.raw.signal;
    const messages = request.messages.map(templateMessage);
    const members = new LosslessMembers(body);
    const tools = request.tools?.length && request.tool_choice !== "none"
      ? members.value("tools") as readonly unknown[]
      : undefined;
    const continueFinalMessage = request.continue_final_message === true;
    const { text: prompt, encoding, messages: spoken } = chatTemplate.render({
      messages,
      tools,
      continueFinalMessage,
      kwargs: templateVariables(request, members),
    });
    const answer = planAnswer(request, chatTemplate, text.tokenizer, prompt);
    const [rendered] = await encodeTexts(context, [prompt.toWellFormed()], {
      field: "messages",
      client,
      options: { ...encoding, ...request.add_special_tokens === false && { addSpecial: false } },
    });
    const tokens = Uint32Array.from([...rendered, ...answer.opening]);
    const stop = [...(request.stop ?? []), ...chatTemplate.stopStrings];
    const plan = planGeneration(context, { ...request, stop }, [tokens], {
      promptField: "messages",
      topLogprobs: request.logprobs ? request.top_logprobs ?? 0 : undefined,
      maxTokens: request.max_completion_tokens,
      // As long as the context lets it.
      defaultMaxTokens: Infinity,
      continuation: continueFinalMessage || answer.opening.length > 0,
      messages: messageRows(text.tokenizer, prompt.toWellFormed(), rendered, spoken),
      grammar: answer.grammar,
      reasoning: answer.reasoning,
      shown: answer.form.shown,
    });
    const run = new GenerationRun(context, plan, { ...c.var, client });
    c.set("run", run);

    const head = (object: string) => ({
      id: `chatcmpl-${c.var.requestId}`,
      object,
      created: Math.floor(Date.now() / 1000),
      model: engine.model.id,
    });
    const logprobsOf = (tokens: readonly PlacedToken[]) =>
      request.logprobs ? { content: tokens.map((token) => chatLogprob(text.tokenizer, token)), refusal: null } : null;

    if (request.stream) {
      const events = eventStream(chunks(request.stream_options?.include_usage === true), {
        keepAliveMilliseconds: context.keepAliveMilliseconds,
        onCancel: () => run.abort(),
        toHttpError: (error) => context.reportError(error, c.var.requestId),
      });
      return c.body(events, 200, EVENT_STREAM_HEADERS);
    }
    const choices = await run.collect();
    return c.json({
      ...head("chat.completion"),
      choices: choices.map((choice, index) => {
        const { message, anyCall } = readMessage(answer.form, choice.text);
        return {
          index,
          message,
          logprobs: logprobsOf(choice.tokens),
          finish_reason: finishReasonOf(choice.finishReason, anyCall),
        };
      }),
      usage: run.usage,
    });

    async function* chunks(includeUsage: boolean) {
      const chunkHead = head("chat.completion.chunk");
      const usage = includeUsage ? { usage: null } : {};
      const chunk = (index: number, delta: object, tokens: readonly PlacedToken[], finishReason: string | null) => ({
        ...chunkHead,
        choices: [{
          index,
          delta,
          logprobs: tokens.length > 0 ? logprobsOf(tokens) : null,
          finish_reason: finishReason,
        }],
        ...usage,
      });
      const readers = new Map<number, AnswerReader>();
      for await (const { index, text: piece, tokens, finishReason } of run.deltas) {
        let reader = readers.get(index);
        if (reader === undefined) {
          yield chunk(index, { role: "assistant", content: "" }, [], null);
          readers.set(index, reader = new AnswerReader(answer.form));
        }
        const deltas = deltasOf([reader.push(piece), ...finishReason ? [reader.flush()] : []], reader);
        // Log-probabilities come with whatever is shown next.
        if (deltas.length === 0 && tokens.length > 0 && request.logprobs) deltas.push({ content: "" });
        for (const [at, delta] of deltas.entries()) yield chunk(index, delta, at === 0 ? tokens : [], null);
        if (finishReason) yield chunk(index, {}, [], finishReasonOf(finishReason, reader.callCount > 0));
      }
      if (includeUsage) yield { ...chunkHead, choices: [], usage: run.usage };
    }
  };
}

/** The whole message of a choice. */
function readMessage(form: AnswerForm, text: string): { message: object; anyCall: boolean } {
  const reader = new AnswerReader(form);
  const pieces = [reader.push(text), reader.flush()];
  const content = pieces.map((piece) => piece.content).join("");
  const reasoning = pieces.map((piece) => piece.reasoning).join("");
  const calls = pieces.flatMap((piece) => piece.calls);
  const anyCall = calls.length > 0;
  return {
    anyCall,
    message: {
      role: "assistant",
      content: content === "" && anyCall ? null : content,
      refusal: null,
      ...reasoning !== "" && { reasoning_content: reasoning },
      ...anyCall && { tool_calls: calls },
    },
  };
}

/** The deltas of a choice's pieces, in the order that clients expect: a call's name before its arguments. */
function deltasOf(pieces: readonly AnswerPiece[], { callCount }: AnswerReader): object[] {
  let index = callCount - pieces.reduce((sum, { calls }) => sum + calls.length, 0);
  return pieces.flatMap(({ reasoning, content, calls }) => [
    ...reasoning === "" ? [] : [{ reasoning_content: reasoning }],
    ...content === "" ? [] : [{ content }],
    ...calls.flatMap(({ id, type, function: { name, arguments: written } }) => {
      const at = index++;
      return [
        { tool_calls: [{ index: at, id, type, function: { name, arguments: "" } }] },
        { tool_calls: [{ index: at, function: { arguments: written } }] },
      ];
    }),
  ]);
}

/** Calls are why an answer stopped, if nothing cut it. */
function finishReasonOf(reason: FinishReason, anyCall: boolean): string {
  return reason === "stop" && anyCall ? "tool_calls" : reason;
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
  members: LosslessMembers,
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

/** One entry of `logprobs.content`. */
function chatLogprob(tokenizer: Tokenizer, { id, logprob, topLogprobs = [] }: PlacedToken) {
  const entry = (token: { id: number; logprob?: number }) => {
    const { text, bytes } = tokenDisplay(tokenizer, token.id);
    return { token: text, logprob: finiteLogprob(token.logprob), bytes };
  };
  return { ...entry({ id, logprob }), top_logprobs: topLogprobs.map(entry) };
}
