/**
 * @file `POST /v1/chat/completions`: replies to conversations.
 *
 * Tools are offered to the model through its chat template; what it answers is returned as text, calls are not parsed.
 */
import type { Context } from "hono";
import type { ChatMessage } from "../text/chat_template.ts";
import { messageRows } from "../text/message_ranges.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { RouteContext, RouteEnvironment } from "./context.ts";
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
    const [tokens] = await encodeTexts(context, [prompt.toWellFormed()], {
      field: "messages",
      client,
      options: { ...encoding, ...request.add_special_tokens === false && { addSpecial: false } },
    });
    const stop = [...(request.stop ?? []), ...chatTemplate.stopStrings];
    const plan = planGeneration(context, { ...request, stop }, [tokens], {
      promptField: "messages",
      topLogprobs: request.logprobs ? request.top_logprobs ?? 0 : undefined,
      maxTokens: request.max_completion_tokens,
      // As long as the context lets it.
      defaultMaxTokens: Infinity,
      continuation: continueFinalMessage,
      messages: messageRows(text.tokenizer, prompt.toWellFormed(), tokens, spoken),
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
      choices: choices.map((choice, index) => ({
        index,
        message: { role: "assistant", content: choice.text, refusal: null },
        logprobs: logprobsOf(choice.tokens),
        finish_reason: choice.finishReason,
      })),
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
      const begun = new Set<number>();
      for await (const { index, text: content, tokens, finishReason } of run.deltas) {
        if (!begun.has(index)) yield chunk(index, { role: "assistant", content: "" }, [], null);
        begun.add(index);
        if (content || tokens.length > 0) yield chunk(index, { content }, tokens, null);
        if (finishReason) yield chunk(index, {}, [], finishReason);
      }
      if (includeUsage) yield { ...chunkHead, choices: [], usage: run.usage };
    }
  };
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
