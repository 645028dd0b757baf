/** @file `POST /apply-template`: the prompt that a chat completion would read, and what of it each message came to. */
import type { Context } from "hono";
import type { RouteEnvironment, ServerContext } from "./context.ts";
import { encodeChat } from "./generation/chat.ts";
import { tokenDisplay } from "./generation/token_text.ts";
import { useModel } from "./models.ts";
import { applyTemplateRequest } from "./requests/chat_request.ts";
import { longJson, LongList } from "./long_json.ts";
import { LosslessMembers } from "./requests/lossless_members.ts";
import { readRequest } from "./requests/read.ts";

/**
 * Handles `POST /apply-template`, with the body of a chat completion. A message that the template leaves out, or changes, is in
 * `prompt` as it is, but not in `messages`.
 */
export function applyTemplateHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request, text: body } = await readRequest(server, c.req.raw, applyTemplateRequest);
    const context = await useModel(server, c, request.model);
    const members = new LosslessMembers(body);
    const { text, tokens, texts, messages } = await encodeChat(context, request, { members, client: c.req.raw.signal });
    return longJson(c, {
      prompt: text,
      count: tokens.length,
      tokens: new LongList(tokens),
      ...request.return_token_strs && {
        token_strs: new LongList(tokens, (id) => tokenDisplay(context.text.tokenizer, id).text),
      },
      messages: texts.map(({ role, start, end }, at) => ({
        role,
        characters: [start, end],
        tokens: [messages[at].start, messages[at].end],
      })),
    });
  };
}
