/** @file What every endpoint is given. */
import type { Encoder } from "../contract/encoder.ts";
import type { Engine } from "../contract/engine.ts";
import type { KvCacheChoice } from "../contract/generation.ts";
import type { ChatTemplate } from "../text/chat_template.ts";
import type { TextEncoding } from "../text/text_processor.ts";
import type { KeyOwner } from "./access/api_keys.ts";
import type { HttpError } from "./errors.ts";
import type { Lease, Models } from "../serving/models.ts";
import type { LiveSequences } from "./generation/live_sequences.ts";
import type { RunReport } from "./generation/outcome.ts";
import type { Metrics } from "./metrics/metrics.ts";
import type { ServerMetrics } from "./metrics/server_metrics.ts";
import type { RequestTrace } from "./tracing.ts";
import type { BodyPace } from "./requests/pace.ts";

/** Variables of one request, in Hono's context. */
export interface RequestVariables {
  requestId: string;
  /** `performance.now()` when the request arrived. */
  arrival: number;
  /** `performance.now()` by which it must have been answered; may be infinite. */
  deadline: number;
  trace: RequestTrace;
  /** Whose key it was sent with, if keys are asked for. */
  keyOwner: KeyOwner | undefined;
  /** Set once the request has been admitted by the engine. */
  run: RunReport | undefined;
  /** The model that it uses; let go of when it has been answered. */
  lease: Lease | undefined;
  /** What must end, beside the run, before it lets go of the model. */
  work: Promise<unknown> | undefined;
}

/** Hono's type parameters of the application. */
export interface RouteEnvironment {
  Variables: RequestVariables;
}

/** What every endpoint is given. */
export interface ServerContext {
  readonly models: Models;
  /** What a request for a model is given, once it is loaded. */
  readonly contextOf: (model: Lease) => RouteContext;
  /** Makes vectors of texts, or scores them; where one was named. */
  readonly encoder: Encoder | undefined;
  readonly sequences: LiveSequences;
  readonly metrics: ServerMetrics;
  readonly keepAliveMilliseconds: number;
  /** Longest body of a request. */
  readonly maxBodyBytes: number;
  readonly slowestBody: BodyPace;
  /** Aborted when no further request is to be taken. */
  readonly drain: AbortSignal | undefined;
  /** Aborted when running generations are to end, each with an error. */
  readonly shutdown: AbortSignal | undefined;
  /** When the server began, in seconds since 1970. */
  readonly created: number;
  /** Finds the reply for an error, logging those that clients are not told about. */
  readonly reportError: (error: unknown, requestId: string) => HttpError;
}

/** What a request for a model is given. */
export interface RouteContext extends Omit<ServerContext, "metrics"> {
  readonly engine: Engine;
  readonly text: TextEncoding;
  readonly chatTemplate: ChatTemplate;
  readonly metrics: Metrics;
  /** Reads the field `kv_cache`. @throws {UnservableRequestError} */
  readonly parseKvCache: (field: Readonly<Record<string, unknown>>) => KvCacheChoice;
}
