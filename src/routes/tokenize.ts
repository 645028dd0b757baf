/** @file `POST /tokenize` and `POST /detokenize`: texts as tokens and back, for clients of vLLM and of llama-server. */
import type { Context } from "hono";
import type { z } from "zod";
import { Detokenizer } from "../text/detokenizer.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { RouteContext, RouteEnvironment, ServerContext } from "./context.ts";
import { encodeChat } from "./generation/chat.ts";
import { encodeTexts } from "./generation/encode.ts";
import { requireTokens } from "./generation/plan.ts";
import { tokenDisplay } from "./generation/token_text.ts";
import { Turns } from "./generation/turns.ts";
import { longJson, LongList } from "./long_json.ts";
import { useModel } from "./models.ts";
import { LosslessMembers } from "./requests/lossless_members.ts";
import { readRequest } from "./requests/read.ts";
import { detokenizeRequest, tokenizeRequest, type tokenizeTextRequest } from "./requests/text_requests.ts";

/** Tokens that are decoded before others may have their turn. */
const TURN_TOKENS = 4096;

/** Handles `POST /tokenize`. */
export function tokenizeHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request, text: body } = await readRequest(server, c.req.raw, tokenizeRequest);
    const context = await useModel(server, c, request.model);
    const { engine, text: { tokenizer } } = context;
    const client = c.req.raw.signal;
    const encoded = "messages" in request
      ? (await encodeChat(context, request, { members: new LosslessMembers(body), client })).tokens
      : await encodeText(context, request, client);
    const known = new Map<number, string>();
    const textOf = (id: number) => {
      const text = known.get(id) ?? tokenDisplay(tokenizer, id).text;
      known.set(id, text);
      return text;
    };
    return longJson(c, {
      count: encoded.length,
      max_model_len: engine.model.contextLength,
      tokens: new LongList(encoded, request.with_pieces ? (id) => ({ id, piece: textOf(id) }) : undefined),
      ...request.return_token_strs && { token_strs: new LongList(encoded, textOf) },
    });
  };
}

async function encodeText(
  context: RouteContext,
  request: z.infer<typeof tokenizeTextRequest>,
  client: AbortSignal,
): Promise<Uint32Array> {
  const isContent = typeof request.content === "string";
  const field = isContent ? "content" : "prompt";
  const [encoded] = await encodeTexts(context, [request[field]!.toWellFormed()], {
    field,
    client,
    options: {
      addSpecial: request.add_special_tokens ?? request.add_special ?? !isContent,
      parseSpecial: request.parse_special ?? true,
    },
  });
  return encoded;
}

/** Handles `POST /detokenize`. */
export function detokenizeHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request } = await readRequest(server, c.req.raw, detokenizeRequest);
    const context = await useModel(server, c, request.model);
    const { engine, text: { tokenizer } } = context;
    requireTokens(request.tokens, engine.model.vocabularySize, "tokens");
    const text = await decodeByTurns(tokenizer, request.tokens);
    // As vLLM and as llama-server call it.
    return c.json({ prompt: text, content: text });
  };
}

/** As `tokenizer.decode`, special tokens included. */
async function decodeByTurns(tokenizer: Tokenizer, tokens: readonly number[]): Promise<string> {
  const detokenizer = new Detokenizer(tokenizer, { skipSpecial: false, continuation: false });
  const turns = new Turns();
  const pieces: string[] = [];
  for (let at = 0; at < tokens.length; at += TURN_TOKENS) {
    pieces.push(tokens.slice(at, at + TURN_TOKENS).map((id) => detokenizer.push(id)).join(""));
    await turns.next();
  }
  return pieces.join("") + detokenizer.flush();
}
