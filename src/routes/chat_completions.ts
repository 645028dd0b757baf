/**
 * @file `POST /v1/chat/completions`: replies to conversations.
 *
 * Tools are offered to the model through its chat template. Its calls and its thoughts are told apart from its text.
 */
import type { Context } from "hono";
import type { RouteEnvironment, ServerContext } from "./context.ts";
import { finishReasonOf, readMessage } from "./generation/answer_deltas.ts";
import { type ChatDelta, chatDeltas, startChat } from "./generation/chat.ts";
import { chunkUsage } from "./generation/chunk_usage.ts";
import type { PlacedToken } from "./generation/choice_text.ts";
import { promptLogprobs } from "./generation/prompt_logprobs.ts";
import { chatLogprob, promptLogprob } from "./generation/token_text.ts";
import { useModel } from "./models.ts";
import { requireReady } from "./readiness.ts";
import { chatRequest } from "./requests/chat_request.ts";
import { LosslessMembers } from "./requests/lossless_members.ts";
import { readRequest } from "./requests/read.ts";
import { EVENT_STREAM_HEADERS, eventStream } from "./sse.ts";

/** Handles `POST /v1/chat/completions`. */
export function chatCompletionsHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request, text: body } = await readRequest(server, c.req.raw, chatRequest);
    const context = await useModel(server, c, request.model);
    const { engine, text } = context;
    requireReady(context);
    const client = c.req.raw.signal;
    const chat = await startChat(context, request, { members: new LosslessMembers(body), ...c.var, client });
    const { run, form } = chat;
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
      const events = eventStream(chunks(), {
        keepAliveMilliseconds: context.keepAliveMilliseconds,
        onCancel: () => run.abort(),
        toHttpError: (error) => context.reportError(error, c.var.requestId),
      });
      return c.body(events, 200, EVENT_STREAM_HEADERS);
    }
    const count = request.prompt_logprobs;
    const [choices, promptTokens] = await Promise.all([
      run.collect(),
      typeof count === "number"
        ? promptLogprobs(context, run.prompt, { count, signal: client, priority: request.priority })
        : undefined,
    ]);
    return c.json({
      ...head("chat.completion"),
      choices: choices.map((choice, index) => {
        const { message, anyCall } = readMessage(form, choice.text);
        return {
          index,
          message,
          logprobs: logprobsOf(choice.tokens),
          finish_reason: finishReasonOf(choice.finishReason, anyCall),
        };
      }),
      ...promptTokens && { prompt_logprobs: promptTokens.map((token) => promptLogprob(text.tokenizer, token)) },
      usage: run.usage,
    });

    async function* chunks() {
      const { stream_options: options } = request;
      const chunkHead = head("chat.completion.chunk");
      const usageOf = chunkUsage(options, (index) => run.promptLength(index));
      const chunk = ({ index, delta, tokens, completionTokens, finishReason }: Omit<ChatDelta, "stopString">) => ({
        ...chunkHead,
        choices: [{
          index,
          delta,
          logprobs: tokens.length > 0 ? logprobsOf(tokens) : null,
          finish_reason: finishReason,
        }],
        ...usageOf(index, completionTokens),
      });
      const begun = new Set<number>();
      for await (const piece of chatDeltas(chat)) {
        if ("kvCache" in piece) {
          yield { ...chunkHead, choices: [], kv_cache: piece.kvCache, ...usageOf(0, 0) };
          continue;
        }
        const { index } = piece;
        const role = { role: "assistant", content: "" } as const;
        if (!begun.has(index)) yield chunk({ index, delta: role, tokens: [], completionTokens: 0, finishReason: null });
        begun.add(index);
        yield chunk(piece);
      }
      if (options?.include_usage) yield { ...chunkHead, choices: [], usage: run.usage };
    }
  };
}
