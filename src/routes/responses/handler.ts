/**
 * @file `POST /v1/responses` and `POST /v1/responses/input_tokens`: replies in the form that OpenAI's newer clients, and Codex, speak
 * alone. Nothing is kept.
 */
import type { Context } from "hono";
import { ClientGoneError } from "../errors.ts";
import type { RouteEnvironment, ServerContext } from "../context.ts";
import { chatDeltas, type ChatRun, countChatTokens, startChat } from "../generation/chat.ts";
import { chatLogprob } from "../generation/token_text.ts";
import { useModel } from "../models.ts";
import { requireReady } from "../readiness.ts";
import { readRequest } from "../requests/read.ts";
import { LosslessMembers } from "../requests/lossless_members.ts";
import { EVENT_STREAM_HEADERS, eventStream, namedEvent } from "../sse.ts";
import { type ResponseEvent, ResponseEvents } from "./events.ts";
import { type ResponsesRequest, responsesRequest } from "./request.ts";
import { responsesField, toChat } from "./to_chat.ts";

/** Handles `POST /v1/responses`. */
export function responsesHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request, text } = await readRequest(server, c.req.raw, responsesRequest);
    const context = await useModel(server, c, request.model);
    const { engine, text: { tokenizer } } = context;
    requireReady(context);
    const client = c.req.raw.signal;
    const { request: chat, members } = toChat(request, new LosslessMembers(text));
    const started = await startChat(context, chat, { members, ...c.var, client }).catch((error) => {
      throw context.reportError(error, c.var.requestId).renamed(responsesField);
    });
    const { run } = started;
    c.set("run", run);

    const head = { id: `resp_${c.var.requestId}`, ...headOf(request, engine.model.id) };
    const events = new ResponseEvents(head, chat.logprobs ? (token) => chatLogprob(tokenizer, token) : undefined);
    if (!request.stream) {
      for await (const _ of eventsOf(started, events));
      return c.json(events.response);
    }
    const stream = eventStream(eventsOf(started, events), {
      format: { encode: namedEvent, failure: (error) => namedEvent(events.fail(error)) },
      keepAliveMilliseconds: context.keepAliveMilliseconds,
      onCancel: () => run.abort(),
      toHttpError: (error) => context.reportError(error, c.var.requestId),
    });
    return c.body(stream, 200, EVENT_STREAM_HEADERS);
  };
}

/** Handles `POST /v1/responses/input_tokens`, with the body of a response: how many tokens would be read for it. */
export function inputTokensHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request, text } = await readRequest(server, c.req.raw, responsesRequest);
    const context = await useModel(server, c, request.model);
    const { request: chat, members } = toChat(request, new LosslessMembers(text));
    const count = countChatTokens(context, chat, { members, client: c.req.raw.signal }).catch((error) => {
      throw context.reportError(error, c.var.requestId).renamed(responsesField);
    });
    return c.json({ object: "response.input_tokens", input_tokens: await count });
  };
}

async function* eventsOf(chat: ChatRun, events: ResponseEvents): AsyncGenerator<ResponseEvent, void> {
  yield* events.start();
  for await (const delta of chatDeltas(chat)) {
    if ("kvCache" in delta) continue;
    yield* events.push(delta);
    if (delta.finishReason) return yield* events.finish(delta.finishReason, chat.run.usage);
  }
  throw new ClientGoneError();
}

/** What a response repeats of its request. */
function headOf(request: ResponsesRequest, model: string) {
  return {
    object: "response",
    created_at: Math.floor(Date.now() / 1000),
    model,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    temperature: request.temperature ?? null,
    top_p: request.top_p ?? null,
    tools: request.tools ?? [],
    tool_choice: request.tool_choice ?? "auto",
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    reasoning: request.reasoning ?? null,
    text: request.text ?? { format: { type: "text" } },
    metadata: request.metadata ?? {},
    truncation: "disabled",
    previous_response_id: null,
    background: false,
    store: false,
  };
}
