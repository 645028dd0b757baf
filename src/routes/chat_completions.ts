/**
 * @file `POST /v1/chat/completions`: replies to conversations.
 *
 * Tools are offered to the model through its chat template; what it answers is returned as text, calls are not parsed.
 */
import type { Context } from "hono";
import type { RouteContext, RouteEnvironment } from "./context.ts";
import { chatDeltas, startChat } from "./generation/chat.ts";
import type { PlacedToken } from "./generation/choice_text.ts";
import { promptLogprobs } from "./generation/prompt_logprobs.ts";
import { chatLogprob, promptLogprob } from "./generation/token_text.ts";
import { requireModel } from "./models.ts";
import { requireReady } from "./readiness.ts";
import { chatRequest } from "./requests/chat_request.ts";
import { LosslessMembers } from "./requests/lossless_members.ts";
import { readRequest } from "./requests/read.ts";
import { EVENT_STREAM_HEADERS, eventStream } from "./sse.ts";

/** Handles `POST /v1/chat/completions`. */
export function chatCompletionsHandler(context: RouteContext) {
  const { engine, text } = context;
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request, text: body } = await readRequest(context, c.req.raw, chatRequest);
    requireModel(context, request.model);
    requireReady(context);
    const client = c.req.raw.signal;
    const run = await startChat(context, request, { members: new LosslessMembers(body), ...c.var, client });
    c.set("run", run);

    const head = (object: string) => ({
      id: `chatcmpl-${c.var.requestId}`,
      object,
      created: Math.floor(Date.now() / 1000),
      model: engine.model.id,
    });
    const logprobsOf = (tokens: readonly PlacedToken[]) =>
      request.logprobs
        ? {
          content: tokens.map((token) => chatLogprob(text.tokenizer, token, request.return_tokens_as_token_ids)),
          refusal: null,
        }
        : null;

    if (request.stream) {
      const events = eventStream(chunks(request.stream_options?.include_usage === true), {
        keepAliveMilliseconds: context.keepAliveMilliseconds,
        onCancel: () => run.abort(),
        toHttpError: (error) => context.reportError(error, c.var.requestId),
      });
      return c.body(events, 200, EVENT_STREAM_HEADERS);
    }
    const count = request.prompt_logprobs;
    const [choices, promptTokens] = await Promise.all([
      run.collect(),
      typeof count === "number" ? promptLogprobs(context, run.prompt, { count, signal: client }) : undefined,
    ]);
    return c.json({
      ...head("chat.completion"),
      choices: choices.map((choice, index) => ({
        index,
        message: { role: "assistant", content: choice.text, refusal: null },
        logprobs: logprobsOf(choice.tokens),
        finish_reason: choice.finishReason,
      })),
      ...promptTokens && { prompt_logprobs: promptTokens.map((token) => promptLogprob(text.tokenizer, token)) },
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
      for await (const { index, delta, tokens, finishReason } of chatDeltas(run)) {
        if (!begun.has(index)) yield chunk(index, { role: "assistant", content: "" }, [], null);
        begun.add(index);
        yield chunk(index, delta, tokens, finishReason);
      }
      if (includeUsage) yield { ...chunkHead, choices: [], usage: run.usage };
    }
  };
}
