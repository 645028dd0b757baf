/** @file `POST /tokenize` and `POST /detokenize`: texts as tokens and back, for clients of vLLM and of llama-server. */
import type { Context } from "hono";
import type { RouteEnvironment, ServerContext } from "./context.ts";
import { encodeTexts } from "./generation/encode.ts";
import { requireTokens } from "./generation/plan.ts";
import { tokenDisplay } from "./generation/token_text.ts";
import { useModel } from "./models.ts";
import { readRequest } from "./requests/read.ts";
import { detokenizeRequest, tokenizeRequest } from "./requests/text_requests.ts";

/** Handles `POST /tokenize`. */
export function tokenizeHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request } = await readRequest(server, c.req.raw, tokenizeRequest);
    const context = await useModel(server, c, request.model);
    const { engine, text: { tokenizer } } = context;
    const isContent = typeof request.content === "string";
    const field = isContent ? "content" : "prompt";
    const [encoded] = await encodeTexts(context, [request[field]!.toWellFormed()], {
      field,
      client: c.req.raw.signal,
      options: {
        addSpecial: request.add_special_tokens ?? request.add_special ?? !isContent,
        parseSpecial: request.parse_special ?? true,
      },
    });
    const tokens = [...encoded];
    const texts = () => tokens.map((id) => tokenDisplay(tokenizer, id).text);
    return c.json({
      count: tokens.length,
      max_model_len: engine.model.contextLength,
      tokens: request.with_pieces ? texts().map((piece, at) => ({ id: tokens[at], piece })) : tokens,
      ...request.return_token_strs && { token_strs: texts() },
    });
  };
}

/** Handles `POST /detokenize`. */
export function detokenizeHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request } = await readRequest(server, c.req.raw, detokenizeRequest);
    const context = await useModel(server, c, request.model);
    const { engine, text: { tokenizer } } = context;
    requireTokens(request.tokens, engine.model.vocabularySize, "tokens");
    const text = tokenizer.decode(request.tokens, { skipSpecial: false });
    // As vLLM and as llama-server call it.
    return c.json({ prompt: text, content: text });
  };
}
