/** @file `GET /v1/models` and `GET /v1/models/:id`. */
import type { Context } from "hono";
import type { RouteContext } from "./context.ts";
import { clipped, HttpError } from "./errors.ts";

/** @throws {HttpError} 404 unless the served model is meant; a request that names none means it */
export function requireModel({ engine }: RouteContext, id: string | null | undefined): void {
  if (id === null || id === undefined || id === engine.model.id) return;
  throw new HttpError(404, `The model '${clipped(id)}' does not exist; this server serves '${engine.model.id}'`, {
    param: "model",
    code: "model_not_found",
  });
}

function describeModel({ engine: { model, device }, created }: RouteContext) {
  return {
    id: model.id,
    object: "model",
    created,
    owned_by: "ebb",
    /** Longest prompt plus completion, in tokens; named as vLLM names it. */
    max_model_len: model.contextLength,
    /** Named as llama.cpp's server names them, as far as it has them. */
    meta: {
      architecture: model.architecture,
      quantisation: model.quantisation,
      n_vocab: model.vocabularySize,
      n_embd: model.hiddenSize,
      n_params: model.parameterCount,
      size: model.weightBytes,
      /** What computes. */
      device,
    },
  };
}

/** The encoder, where there is one. */
function describeEncoder({ encoder, created }: RouteContext) {
  if (encoder === undefined) return undefined;
  const { id, kind, dimensions, maximumTokens } = encoder.model;
  return {
    id,
    object: "model",
    created,
    owned_by: "ebb",
    max_model_len: maximumTokens,
    meta: { architecture: kind, n_embd: dimensions },
  };
}

/** Handles `GET /v1/models`. */
export function modelsHandler(context: RouteContext) {
  const encoder = describeEncoder(context);
  const data = [describeModel(context), ...encoder ? [encoder] : []];
  return (c: Context): Response => c.json({ object: "list", data });
}

/** Handles `GET /v1/models/:id`; an id may hold slashes. */
export function modelHandler(context: RouteContext) {
  return (c: Context): Response => {
    const id = c.req.param("id");
    if (id === context.encoder?.model.id) return c.json(describeEncoder(context));
    requireModel(context, id);
    return c.json(describeModel(context));
  };
}
