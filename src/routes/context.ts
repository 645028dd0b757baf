/** @file What every endpoint is given. */
import type { Engine } from "../contract/engine.ts";
import type { KvCacheChoice } from "../contract/generation.ts";
import type { ChatTemplate } from "../text/chat_template.ts";
import type { TextProcessor } from "../text/text_processor.ts";
import type { GenerationRun } from "./generation.ts";
import { HttpError } from "./errors.ts";
import type { Metrics } from "./metrics.ts";

/** Variables of one request, in Hono's context. */
export interface RequestVariables {
  requestId: string;
  /** `performance.now()` when the request arrived. */
  arrival: number;
  /** Set once the request has been admitted by the engine. */
  run: GenerationRun | undefined;
}

/** Hono's type parameters of the application. */
export interface RouteEnvironment {
  Variables: RequestVariables;
}

/** Of the text processor, what the routes use. */
export type TextEncoding = Pick<TextProcessor, "tokenizer" | "encode">;

/** What every endpoint is given. */
export interface RouteContext {
  readonly engine: Engine;
  readonly text: TextEncoding;
  readonly chatTemplate: ChatTemplate;
  readonly metrics: Metrics;
  /** Reads the field `kv_cache`. @throws {UnservableRequestError} */
  readonly parseKvCache: (field: Readonly<Record<string, unknown>>) => KvCacheChoice;
  readonly keepAliveMilliseconds: number;
  /** Aborted when no further request is to be taken. */
  readonly drain: AbortSignal | undefined;
  /** Aborted when running generations are to end, each with an error. */
  readonly shutdown: AbortSignal | undefined;
  /** When the model was loaded, in seconds since 1970. */
  readonly created: number;
  /** Finds the reply for an error, logging those that clients are not told about. */
  readonly reportError: (error: unknown, requestId: string) => HttpError;
}

/** @throws {HttpError} 404 unless the served model is meant; a request that names none means it */
export function requireModel({ engine }: RouteContext, id: string | null | undefined): void {
  if (id === null || id === undefined || id === engine.model.id) return;
  throw new HttpError(404, `The model '${id}' does not exist; this server serves '${engine.model.id}'`, {
    param: "model",
    code: "model_not_found",
  });
}

const UNAVAILABLE = {
  loading: { code: "model_loading", message: "The model is still loading; try again soon" },
  draining: { code: "shutting_down", message: "The server is shutting down" },
  failed: {
    code: "engine_failed",
    message: "The engine has failed and must be restarted; the server's log has the cause",
  },
};

/** The engine's state, as clients should see it. */
export function engineState({ engine, drain }: RouteContext): Engine["state"] {
  return drain?.aborted && engine.state === "ready" ? "draining" : engine.state;
}

/** The 503 that says why no requests are taken; undefined if they are. */
export function unavailable(context: RouteContext): HttpError | undefined {
  const state = engineState(context);
  if (state === "ready") return undefined;
  const { message, code } = UNAVAILABLE[state];
  return new HttpError(503, message, { code });
}

/** @throws {HttpError} 503 unless requests are taken */
export function requireReady(context: RouteContext): void {
  const error = unavailable(context);
  if (error) throw error;
}
