/** @file The server's metrics in Prometheus's text format. Stems and buckets are vLLM's, so that its dashboards can be reused. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Engine, EngineStats } from "../../contract/engine.ts";
import type { GenerationRequest } from "../../contract/generation.ts";
import type { Outcome } from "../generation/outcome.ts";
import { ENGINE_METRICS, type EngineMetric } from "./engine_metrics.ts";

const PREFIX = "ebb_";

// Seconds; as in vLLM's loggers.py.
const FIRST_TOKEN_BUCKETS = [
  ...[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75],
  ...[1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560],
];
const TOKEN_BUCKETS = [
  ...[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75],
  ...[1, 2.5, 5, 7.5, 10, 20, 40, 80],
];
const REQUEST_BUCKETS = [
  ...[0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50],
  ...[60, 120, 240, 480, 960, 1920, 7680],
];

/** 1, 2, 5, 10, 20, 50, ... up to a limit. */
function tokenCountBuckets(limit: number): number[] {
  const buckets = [];
  for (let decade = 1; decade <= limit; decade *= 10) buckets.push(decade, 2 * decade, 5 * decade);
  return buckets.filter((bucket) => bucket <= limit);
}

const HTTP_METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"]);

/** Watches one choice. */
export interface ChoiceObserver {
  /** Tokens have come from the engine. */
  tokens(count: number): void;
  ended(outcome: Outcome): void;
}

/** The server's metrics: its own, and those that the engine reports when asked. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #fromEngine: { readonly metric: EngineMetric; readonly sink: Counter | Gauge }[];
  readonly #timeToFirstToken: Histogram;
  readonly #interTokenLatency: Histogram;
  readonly #endToEndLatency: Histogram;
  readonly #promptTokens: Histogram;
  readonly #generationTokens: Histogram;
  readonly #outcomes: Counter<"finished_reason">;
  readonly #httpRequests: Counter<"method" | "path" | "status">;
  /** Requests that the engine refused to queue. */
  readonly admissionRejections: Counter;

  constructor({ model }: Engine) {
    this.#registry.setDefaultLabels({ model_name: model.id });
    const registers = [this.#registry];
    const histogram = (name: string, help: string, buckets: number[]) =>
      new Histogram({ name: PREFIX + name, help, buckets, registers });
    const lengths = tokenCountBuckets(model.contextLength);

    this.#timeToFirstToken = histogram(
      "time_to_first_token_seconds",
      "From the request's arrival to its first token",
      FIRST_TOKEN_BUCKETS,
    );
    this.#interTokenLatency = histogram("inter_token_latency_seconds", "From one token to the next", TOKEN_BUCKETS);
    this.#endToEndLatency = histogram(
      "e2e_request_latency_seconds",
      "From the request's arrival to its last token",
      REQUEST_BUCKETS,
    );
    this.#promptTokens = histogram("request_prompt_tokens", "Prompt tokens of a sequence", lengths);
    this.#generationTokens = histogram("request_generation_tokens", "Tokens generated for a sequence", lengths);
    this.#outcomes = new Counter({
      name: `${PREFIX}request_success_total`,
      help: "Sequences that ended, by reason",
      labelNames: ["finished_reason"],
      registers,
    });
    this.#httpRequests = new Counter({
      name: `${PREFIX}http_requests_total`,
      help: "HTTP requests, by route and status",
      labelNames: ["method", "path", "status"],
      registers,
    });
    this.admissionRejections = new Counter({
      name: `${PREFIX}admission_rejections_total`,
      help: "Requests that the engine refused to queue",
      registers,
    });
    this.#fromEngine = ENGINE_METRICS.map((metric) => {
      const Sink = metric.type === "counter" ? Counter : Gauge;
      return {
        metric,
        sink: new Sink({ name: PREFIX + metric.name, help: metric.help, labelNames: ["layer", "policy"], registers }),
      };
    });
  }

  /**
   * @param method of HTTP's own, as every other one counts as `unknown`: clients choose it, and each value stays forever
   * @param path the route's pattern, never the path itself, which clients choose
   */
  countHttpRequest(method: string, path: string, status: number): void {
    this.#httpRequests.inc({ method: HTTP_METHODS.has(method) ? method : "unknown", path, status });
  }

  /** @param arrival `performance.now()` when the request arrived */
  startChoice(arrival: number, request: GenerationRequest): ChoiceObserver {
    this.#promptTokens.observe(request.prompt.length);
    let last = arrival;
    let total = 0;
    return {
      tokens: (count) => {
        const now = performance.now();
        if (total === 0) this.#timeToFirstToken.observe((now - arrival) / 1000);
        // Tokens come in batches; each of a batch took its share of the time since the one before.
        else for (let token = 0; token < count; token++) this.#interTokenLatency.observe((now - last) / 1000 / count);
        last = now;
        total += count;
      },
      ended: (outcome) => {
        this.#outcomes.inc({ finished_reason: outcome });
        this.#generationTokens.observe(total);
        this.#endToEndLatency.observe((performance.now() - arrival) / 1000);
      },
    };
  }

  /** @param stats null leaves out what only the engine knows */
  render(stats: EngineStats | null): Promise<string> {
    for (const { metric, sink } of this.#fromEngine) {
      sink.reset();
      if (!stats) continue;
      const value = metric.value(stats);
      if (typeof value === "number") sink.inc(value);
      else if (Array.isArray(value)) value.forEach((layerValue, layer) => sink.inc({ layer }, layerValue));
      else for (const [policy, count] of Object.entries(value)) sink.inc({ policy }, count);
    }
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }
}
