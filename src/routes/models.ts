/** @file `GET /v1/models` and `GET /v1/models/:id`, and the model that a request names. */
import type { Context } from "hono";
import { type Lease, ModelLoadError, type ModelStatus } from "../serving/models.ts";
import type { RouteContext, RouteEnvironment, ServerContext } from "./context.ts";
import { atDeadline } from "./deadline.ts";
import { ClientGoneError, clipped, HttpError } from "./errors.ts";
import { unavailableError } from "./readiness.ts";

/**
 * The model that a request names, or the first where it names none; waits until it is loaded, and holds it until the request has
 * been answered.
 *
 * @throws {HttpError} 404 unless there is such a model; 503 when it cannot be loaded, 504 when that takes too long
 */
export async function useModel(
  server: ServerContext,
  c: Context<RouteEnvironment>,
  name: string | null | undefined,
): Promise<RouteContext> {
  const lease = await leaseInTime(server, c, idOf(server, name));
  c.set("lease", lease);
  return server.contextOf(lease);
}

/** The id of the model that a name means. @throws {HttpError} 404 */
function idOf({ models }: ServerContext, name: string | null | undefined): string {
  const id = models.idOf(name);
  if (id !== undefined) return id;
  const ids = models.list().map(({ id }) => `'${id}'`).join(", ");
  throw new HttpError(404, `The model '${clipped(name!)}' does not exist; this server serves ${ids}`, {
    param: "model",
    code: "model_not_found",
  });
}

/** Takes hold of a model, unless the client, the deadline or the server's end comes first. */
async function leaseInTime({ models, drain }: ServerContext, c: Context<RouteEnvironment>, id: string): Promise<Lease> {
  const client = c.req.raw.signal;
  const lease = models.use(id);
  const { promise: given, reject: giveUp } = Promise.withResolvers<never>();
  const onGone = () => giveUp(new ClientGoneError());
  const onDrain = () => giveUp(unavailableError("draining"));
  client.addEventListener("abort", onGone);
  drain?.addEventListener("abort", onDrain);
  const stopTimer = atDeadline(c.var.deadline ?? Infinity, giveUp);
  try {
    return await Promise.race([lease, given]);
  } catch (error) {
    lease.then((late) => late.release(), () => {});
    throw error instanceof ModelLoadError ? new HttpError(503, error.message, { code: "model_load_failed" }) : error;
  } finally {
    stopTimer();
    client.removeEventListener("abort", onGone);
    drain?.removeEventListener("abort", onDrain);
  }
}

function describeModel({ id, state, described }: ModelStatus, { created }: ServerContext) {
  const { model, device } = described ?? {};
  return {
    id,
    object: "model",
    created,
    owned_by: "ebb",
    /** Named as llama.cpp's server names it. */
    status: { value: state },
    ...model && {
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
    },
  };
}

/** The encoder, where there is one. */
function describeEncoder({ encoder, created }: ServerContext) {
  if (encoder === undefined) return undefined;
  const { id, kind, dimensions, maximumTokens, device } = encoder.model;
  return {
    id,
    object: "model",
    created,
    owned_by: "ebb",
    status: { value: "loaded" },
    max_model_len: maximumTokens,
    meta: { architecture: kind, n_embd: dimensions, device },
  };
}

/** Handles `GET /v1/models`. */
export function modelsHandler(server: ServerContext) {
  const encoder = describeEncoder(server);
  return (c: Context): Response => {
    const data = server.models.list().map((model) => describeModel(model, server));
    return c.json({ object: "list", data: [...data, ...encoder ? [encoder] : []] });
  };
}

/** Handles `GET /v1/models/:id`; an id may hold slashes. */
export function modelHandler(server: ServerContext) {
  return (c: Context): Response => {
    const name = c.req.param("id");
    if (name === server.encoder?.model.id) return c.json(describeEncoder(server));
    const id = idOf(server, name);
    return c.json(describeModel(server.models.list().find((model) => model.id === id)!, server));
  };
}
