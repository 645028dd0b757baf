/** @file The HTTP application: routes, and what holds for all of them. */
import type { Tracer } from "@opentelemetry/api";
import { Hono } from "hono";
import { requestId } from "hono/request-id";
import { routePath } from "hono/route";
import type { Encoder } from "../contract/encoder.ts";
import { parseKvCacheChoice } from "../policy/choice.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import { type LoadedModel, type Models, onlyModel } from "../serving/models.ts";
import { ApiKeys } from "./access/api_keys.ts";
import { type AccessOptions, limitRate, requireKey } from "./access/middleware.ts";
import { setDeadline } from "./deadline.ts";
import { chatCompletionsHandler } from "./chat_completions.ts";
import { completionsHandler } from "./completions.ts";
import type { RouteContext, RouteEnvironment, ServerContext } from "./context.ts";
import { embeddingsHandler } from "./embeddings.ts";
import { HttpError, sendError, toHttpError } from "./errors.ts";
import { type GuardOptions, guards } from "./guards.ts";
import { LiveSequences } from "./generation/live_sequences.ts";
import { healthHandler } from "./health.ts";
import { kvPoliciesHandler } from "./kv_policies.ts";
import { kvSequencesHandler } from "./kv_sequences.ts";
import { applyTemplateHandler } from "./apply_template.ts";
import { detokenizeHandler, tokenizeHandler } from "./tokenize.ts";
import { versionHandler } from "./version.ts";
import { metricsHandler } from "./metrics/handler.ts";
import { countTokensHandler, messagesHandler } from "./messages/handler.ts";
import { ServerMetrics } from "./metrics/server_metrics.ts";
import { openApiHandler } from "./openapi/document.ts";
import { docsHandler } from "./openapi/page.ts";
import { playgroundHandler } from "./playground/page.ts";
import { inputTokensHandler, responsesHandler } from "./responses/handler.ts";
import { defaultTracer, RequestTrace } from "./tracing.ts";
import { modelHandler, modelsHandler } from "./models.ts";
import { isWorthALine, requestDetails } from "./request_line.ts";
import { rerankHandler } from "./rerank.ts";
import { type BodyPace, SLOWEST_BODY } from "./requests/pace.ts";

/** One line of the log. */
export interface LogEntry {
  /** ISO 8601. */
  readonly time: string;
  readonly level: "info" | "error";
  readonly event: string;
  readonly [detail: string]: unknown;
}

/** How the application behaves. */
export interface AppOptions extends GuardOptions, AccessOptions {
  /** What the field `kv_cache` can choose from. */
  readonly policies: PolicyRegistry;
  /** Where spans of requests go. Default: to OpenTelemetry's global provider, if there is one. */
  readonly tracer?: Tracer;
  /** How long a request may take, in seconds. Default: no limit. */
  readonly requestTimeoutSeconds?: number;
  /** Receives one entry per request, and one per error that clients are not told about. Default: nothing is logged. */
  readonly log?: (entry: LogEntry) => void;
  /** Silence, in milliseconds, after which a stream gets a comment. Default: 15 seconds. */
  readonly keepAliveMilliseconds?: number;
  /** Longest request body in bytes. Default: 16 MiB. */
  readonly maxBodyBytes?: number;
  /** How slowly a body may come in. Default: {@link SLOWEST_BODY}. */
  readonly slowestBody?: BodyPace;
  /** Aborted when no further request is to be taken. */
  readonly drain?: AbortSignal;
  /** Aborted when running generations are to end, each with an error. */
  readonly shutdown?: AbortSignal;
}

/**
 * Makes the application; `app.request()` and `app.fetch()` serve it without a socket.
 *
 * @example
 * ```ts ignore
 * const app = createApp({ engine, text, chatTemplate, options: { policies } });
 * const response = await app.request("/v1/models");
 * ```
 */
export function createApp(
  { encoder, options, ...served }: { encoder?: Encoder; options: AppOptions } & (LoadedModel | { models: Models }),
): Hono<RouteEnvironment> {
  const { policies, apiKeys = new ApiKeys(), log = () => {} } = options;
  const tracer = options.tracer ?? defaultTracer();
  const { keepAliveMilliseconds = 15_000, maxBodyBytes = 16 * 2 ** 20 } = options;
  const record = (level: LogEntry["level"], event: string, details: object) =>
    log({ time: new Date().toISOString(), level, event, ...details });
  const models = "models" in served ? served.models : onlyModel(served);
  const contexts = new WeakMap<LoadedModel, RouteContext>();
  const context: ServerContext = {
    models,
    contextOf({ model }) {
      const known = contexts.get(model);
      if (known !== undefined) return known;
      const { engine, text, chatTemplate } = model;
      const parseKvCache: RouteContext["parseKvCache"] = (field) =>
        parseKvCacheChoice(field, engine.defaultKvCache, policies);
      const made = { ...context, engine, text, chatTemplate, metrics: context.metrics.of(engine), parseKvCache };
      contexts.set(model, made);
      return made;
    },
    encoder,
    sequences: new LiveSequences(),
    metrics: new ServerMetrics(models),
    keepAliveMilliseconds,
    maxBodyBytes,
    slowestBody: options.slowestBody ?? SLOWEST_BODY,
    drain: options.drain,
    shutdown: options.shutdown,
    created: Math.floor(Date.now() / 1000),
    reportError(error, requestId) {
      const reply = toHttpError(error);
      if (reply.status === 500 && reply !== error) {
        record("error", "internal_error", {
          request_id: requestId,
          error: error instanceof Error ? error.stack : error,
        });
      }
      return reply;
    },
  };

  // A slash behind a path makes it no other path.
  const app = new Hono<RouteEnvironment>({ strict: false });
  app.use(requestId());
  app.use(async (c, next) => {
    const arrival = performance.now();
    c.set("arrival", arrival);
    const trace = new RequestTrace(tracer, c.req.raw, arrival);
    c.set("trace", trace);
    await next();
    const path = routePath(c, -1);
    const route = path === "/*" ? "unknown" : path;
    const { method } = c.req;
    const { status } = c.res;
    const lease = c.get("lease");
    const run = c.get("run");
    context.metrics.countHttpRequest(method, route, status, lease?.id);
    if (lease !== undefined) Promise.allSettled([run?.ended, c.get("work")]).then(() => lease.release());
    // A stream is only opened by now; its line is written when it has ended.
    const end = () => {
      trace.end({ method, route, status, run });
      if (isWorthALine(route, status)) record("info", "request", requestDetails(c, { status, arrival, run }));
    };
    if (run) run.ended.then(end);
    else end();
  });
  // Before the keys are asked for: browsers send none with a preflight.
  app.use(...guards(options));
  app.get("/health", healthHandler(context));
  // For browsers too, which send no keys; they hold nothing that is not public.
  app.get("/", playgroundHandler);
  app.get("/openapi.json", openApiHandler);
  app.get("/docs", docsHandler);
  app.use(requireKey(apiKeys));
  app.get("/metrics", metricsHandler(context));
  app.get("/v1/models", modelsHandler(context));
  app.get("/v1/models/:id{[\\s\\S]+}", modelHandler(context));
  app.get("/v1/kv/policies", kvPoliciesHandler(policies, context));
  app.get("/v1/kv/sequences", kvSequencesHandler(context));
  app.get("/version", versionHandler);
  app.use(limitRate(options), setDeadline(options.requestTimeoutSeconds));
  app.post("/v1/completions", completionsHandler(context));
  app.post("/v1/chat/completions", chatCompletionsHandler(context));
  app.post("/v1/messages", messagesHandler(context));
  app.post("/v1/messages/count_tokens", countTokensHandler(context));
  app.post("/v1/responses", responsesHandler(context));
  app.post("/v1/responses/input_tokens", inputTokensHandler(context));
  app.post("/tokenize", tokenizeHandler(context));
  app.post("/detokenize", detokenizeHandler(context));
  app.post("/apply-template", applyTemplateHandler(context));
  app.post("/v1/embeddings", embeddingsHandler(context));
  app.post("/v1/rerank", rerankHandler(context));

  // A known path with another method. Hono answers HEAD where it answers GET, which covers the rest of them.
  for (const { path, method } of app.routes.filter(({ method }) => method !== "ALL")) {
    app.all(path, (c) => {
      throw new HttpError(405, `${c.req.path} does not take ${c.req.method}; use ${method}`, {
        code: "method_not_allowed",
        headers: { allow: method },
      });
    });
  }
  app.notFound((c) =>
    sendError(c, new HttpError(404, `There is no ${c.req.method} ${c.req.path} here`, { code: "not_found" }))
  );
  app.onError((error, c) => sendError(c, context.reportError(error, c.var.requestId)));
  return app;
}
