/** @file `POST /v1/embeddings`: vectors of texts. */
import { Buffer } from "node:buffer";
import type { Context } from "hono";
import type { Embedder, Encoder } from "../contract/encoder.ts";
import type { RouteEnvironment, ServerContext } from "./context.ts";
import { atDeadline } from "./deadline.ts";
import { ClientGoneError, clipped, HttpError } from "./errors.ts";
import { requireTokens } from "./generation/plan.ts";
import { PromptEncoder } from "./generation/prompt_encoder.ts";
import { useModel } from "./models.ts";
import { requireReady } from "./readiness.ts";
import { type EmbeddingInput, embeddingRequest } from "./requests/encoder_requests.ts";
import { readRequest } from "./requests/read.ts";

/** Handles `POST /v1/embeddings`. */
export function embeddingsHandler(server: ServerContext) {
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request } = await readRequest(server, c.req.raw, embeddingRequest);
    const encoder = server.encoder === undefined
      ? await usePromptEncoder(server, c, request.model)
      : requireEncoder(server, request.model);
    const { id, kind, dimensions: most, maximumTokens, vocabularySize } = encoder.model;
    if (kind !== "embedder") {
      throw new HttpError(400, `${id} is a reranker, which makes no vectors: use /v1/rerank`, { param: "model" });
    }
    const dimensions = request.dimensions ?? most;
    if (dimensions > most) {
      throw new HttpError(400, `dimensions is ${dimensions}; expected at most ${most}, which ${id} has`, {
        param: "dimensions",
      });
    }
    const inputs = splitInputs(request.input);
    for (const input of inputs) if (typeof input !== "string") requireTokens(input, vocabularySize, "input");
    const truncate = truncationOf(request.truncate_prompt_tokens, maximumTokens);
    const encoded = await untilStopped(
      server,
      c,
      (signal) => encoder.embed(inputs, { field: "input", signal, truncate }),
    );
    const tokens = encoded.reduce((sum, { tokens }) => sum + tokens, 0);
    return c.json({
      object: "list",
      data: encoded.map(({ values }, index) => ({
        object: "embedding",
        index,
        embedding: shown(dimensions < most ? shortened(values, dimensions) : values, request.encoding_format),
      })),
      model: id,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  };
}

/** @throws {HttpError} 404 unless there is an encoder, and it is meant; a request that names none means it */
export function requireEncoder({ encoder }: ServerContext, id: string | null | undefined): Encoder {
  if (encoder === undefined) {
    throw new HttpError(404, "This server has no model for that: start it with --embedding-model FOLDER", {
      code: "model_not_found",
    });
  }
  if (id === null || id === undefined || id === encoder.model.id) return encoder;
  throw new HttpError(404, `The model '${clipped(id)}' does not exist here; for this, there is '${encoder.model.id}'`, {
    param: "model",
    code: "model_not_found",
  });
}

/** A model that generates, which makes vectors where there is no encoder. @throws {HttpError} unless there is such a one, and it is ready */
async function usePromptEncoder(
  server: ServerContext,
  c: Context<RouteEnvironment>,
  id: string | null | undefined,
): Promise<Embedder> {
  const context = await useModel(server, c, id);
  requireReady(context);
  return new PromptEncoder(context);
}

/** The tokens after which a text is left unread. */
export function truncationOf(asked: number | null | undefined, maximumTokens: number): number | undefined {
  if (asked === null || asked === undefined) return undefined;
  return asked === -1 ? maximumTokens : Math.min(asked, maximumTokens);
}

/**
 * Runs an action until the client goes, the request's time is over or the server stops; its signal's reason says which.
 *
 * @throws {HttpError} the reason, or what the action throws
 */
export async function untilStopped<Result>(
  { shutdown }: ServerContext,
  c: Context<RouteEnvironment>,
  action: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const stop = new AbortController();
  const { signal } = stop;
  const client = c.req.raw.signal;
  const leave = () => stop.abort(new ClientGoneError());
  const shutDown = () => stop.abort(new HttpError(503, "The server is shutting down", { code: "shutting_down" }));
  const stopTimer = atDeadline(c.var.deadline, (error) => stop.abort(error));
  client.addEventListener("abort", leave);
  shutdown?.addEventListener("abort", shutDown);
  if (client.aborted) leave();
  try {
    return await action(signal);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    stopTimer();
    client.removeEventListener("abort", leave);
    shutdown?.removeEventListener("abort", shutDown);
  }
}

function splitInputs(input: EmbeddingInput): (string | number[])[] {
  if (typeof input === "string") return [input];
  return typeof input[0] === "number" ? [input as number[]] : input as string[] | number[][];
}

/** The first numbers of a vector, scaled to length 1 again: what models are trained for whose vectors can be shortened. */
function shortened(values: Float32Array, dimensions: number): Float32Array {
  const first = values.subarray(0, dimensions);
  const length = Math.hypot(...first);
  return length === 0 ? first : first.map((value) => value / length);
}

function shown(values: Float32Array, format: "float" | "base64" | null | undefined): number[] | string {
  if (format !== "base64") return [...values];
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
}
