/** @file `POST /v1/messages` and `POST /v1/messages/count_tokens`: replies in the form of Anthropic's API, for its SDKs and agents. */
import type { Context } from "hono";
import type { RouteEnvironment, ServerContext } from "../context.ts";
import { ClientGoneError } from "../errors.ts";
import { chatDeltas, type ChatRun, countChatTokens, startChat } from "../generation/chat.ts";
import { useModel } from "../models.ts";
import { requireReady } from "../readiness.ts";
import { readRequest } from "../requests/read.ts";
import { LosslessMembers } from "../requests/lossless_members.ts";
import { EVENT_STREAM_HEADERS, eventStream, namedEvent } from "../sse.ts";
import { messagesErrorBody } from "./errors.ts";
import { type MessageEvent, MessageEvents } from "./events.ts";
import { countTokensRequest, messagesRequest } from "./request.ts";
import { toChat } from "./to_chat.ts";

/** Handles `POST /v1/messages`. */
export function messagesHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request, text } = await readRequest(server, c.req.raw, messagesRequest);
    const context = await useModel(server, c, request.model);
    requireReady(context);
    const client = c.req.raw.signal;
    const { request: chat, members } = toChat(request, new LosslessMembers(text));
    // As in the API of the same name, a limit that the context ends before is no error.
    const started = await startChat(context, chat, { members, ...c.var, client, mostTokens: request.max_tokens });
    const { run } = started;
    c.set("run", run);

    const { requestId } = c.var;
    const events = new MessageEvents({ id: `msg_${requestId}`, model: context.engine.model.id }, {
      maxTokens: request.max_tokens,
      stopSequences: request.stop_sequences ?? [],
    });
    if (!request.stream) {
      for await (const _ of eventsOf(started, events));
      return c.json(events.message);
    }
    const stream = eventStream(eventsOf(started, events), {
      format: { encode: namedEvent, failure: (error) => namedEvent(messagesErrorBody(error, requestId)) },
      keepAliveMilliseconds: context.keepAliveMilliseconds,
      onCancel: () => run.abort(),
      toHttpError: (error) => context.reportError(error, requestId),
    });
    return c.body(stream, 200, EVENT_STREAM_HEADERS);
  };
}

async function* eventsOf(chat: ChatRun, events: MessageEvents): AsyncGenerator<MessageEvent, void> {
  yield* events.start(chat.run.usage);
  for await (const delta of chatDeltas(chat)) {
    if ("kvCache" in delta) continue;
    yield* events.push(delta);
    if (delta.finishReason) return yield* events.finish(delta, chat.run.usage);
  }
  throw new ClientGoneError();
}

/** Handles `POST /v1/messages/count_tokens`. */
export function countTokensHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request, text } = await readRequest(server, c.req.raw, countTokensRequest);
    const context = await useModel(server, c, request.model);
    const { request: chat, members } = toChat(request, new LosslessMembers(text));
    return c.json({ input_tokens: await countChatTokens(context, chat, { members, client: c.req.raw.signal }) });
  };
}
