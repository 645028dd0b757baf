/** @file `GET /v1/models` and `GET /v1/models/:id`. */
import type { Context } from "hono";
import { requireModel, type RouteContext } from "./context.ts";

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
      n_params: model.parameterCount,
      size: model.weightBytes,
      /** What computes. */
      device,
    },
  };
}

/** Handles `GET /v1/models`. */
export function modelsHandler(context: RouteContext) {
  return (c: Context): Response => c.json({ object: "list", data: [describeModel(context)] });
}

/** Handles `GET /v1/models/:id`; an id may hold slashes. */
export function modelHandler(context: RouteContext) {
  return (c: Context): Response => {
    requireModel(context, c.req.param("id"));
    return c.json(describeModel(context));
  };
}
