/**
 * @file `POST /v1/chat/completions`: replies to conversations.
 *
 * Tools are offered to the model through its chat template; what it answers is returned as text, calls are not parsed.
 */
import type { Context } from "hono";
import type { ChatMessage } from "../text/chat_template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { PlacedToken } from "./choice_text.ts";
import { requireModel, requireReady, type RouteContext, type RouteEnvironment } from "./context.ts";
import { encodePrompt } from "./encode_prompt.ts";
import { GenerationRun } from "./generation.ts";
import { planGeneration } from "./generation_plan.ts";
import { chatRequest, type MessageField, readRequest } from "./request_schema.ts";
import { EVENT_STREAM_HEADERS, eventStream } from "./sse.ts";
import { finiteLogprob, tokenDisplay } from "./token_text.ts";

/** Handles `POST /v1/chat/completions`. */
export function chatCompletionsHandler(context: RouteContext) {
  const { engine, text, chatTemplate } = context;
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const request = await readRequest(context, c.req, chatRequest);
    requireModel(context, request.model);
    requireReady(context);
    const messages = request.messages.map(templateMessage);
    const tools = request.tools?.length && request.tool_choice !== "none" ? request.tools : undefined;
    const continueFinalMessage = request.continue_final_message === true;
    const prompt = chatTemplate.render({ messages, tools, continueFinalMessage });
    const tokens = await encodePrompt(context, prompt, "messages", c.req.raw.signal);
    const stop = [...(request.stop ?? []), ...chatTemplate.stopStrings];
    const plan = planGeneration(context, { ...request, stop }, [tokens], {
      promptField: "messages",
      topLogprobs: request.logprobs ? request.top_logprobs ?? 0 : undefined,
      maxTokens: request.max_completion_tokens ?? request.max_tokens,
      // As long as the context lets it.
      defaultMaxTokens: Infinity,
      continuation: continueFinalMessage,
    });
    const run = new GenerationRun(context, plan, { ...c.var, client: c.req.raw.signal });
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
function templateMessage({ role, content, name, tool_call_id, tool_calls }: MessageField): ChatMessage {
  return {
    // Templates know no developers.
    role: role === "developer" ? "system" : role,
    content,
    // Templates ask whether a field is defined; one that a client sent as null must not be.
    ...name && { name },
    ...tool_call_id && { tool_call_id },
    ...tool_calls && { tool_calls },
  };
}

/** One entry of `logprobs.content`. */
function chatLogprob(tokenizer: Tokenizer, { id, logprob, topLogprobs = [] }: PlacedToken) {
  const entry = (token: { id: number; logprob?: number }) => {
    const { text, bytes } = tokenDisplay(tokenizer, token.id);
    return { token: text, logprob: finiteLogprob(token.logprob), bytes };
  };
  return { ...entry({ id, logprob }), top_logprobs: topLogprobs.map(entry) };
}
