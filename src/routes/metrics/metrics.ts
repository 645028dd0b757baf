/** @file The metrics of a model in Prometheus's text format. Stems and buckets are vLLM's, so that its dashboards can be reused. */
import type { Counter } from "@opentelemetry/api";
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import type { Engine, EngineStats } from "../../contract/engine.ts";
import type { GenerationRequest } from "../../contract/generation.ts";
import type { ChoiceObserver } from "../generation/choice_observer.ts";
import type { Outcome } from "../generation/outcome.ts";
import { BLOCK_ROWS } from "../../cache/block.ts";
import { withVllmNames } from "./vllm_names.ts";
import { emptyHistogramData, engineMetricData, type HistogramDescription } from "./metric_data.ts";

/** Stands before every name, with an underscore. */
export const METRICS_PREFIX = "ebb";

/** The label of every sample that names the model. */
export const MODEL_LABEL = "model_name";

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

/** The metrics of a model: its requests', and those that the engine reports when asked. */
export class Metrics {
  // Not OpenTelemetry's global provider: that is whatever the runtime was configured to export to.
  readonly #exporter = new PrometheusExporter({ preventServerStart: true });
  readonly #serializer = new PrometheusSerializer(METRICS_PREFIX, false, new RegExp(`^${MODEL_LABEL}$`), true, true);
  readonly #histograms: readonly HistogramDescription[];
  readonly #timeToFirstToken: (seconds: number) => void;
  readonly #interTokenLatency: (seconds: number) => void;
  readonly #endToEndLatency: (seconds: number) => void;
  readonly #queueTime: (seconds: number) => void;
  readonly #prefillTime: (seconds: number) => void;
  readonly #decodeTime: (seconds: number) => void;
  readonly #inferenceTime: (seconds: number) => void;
  readonly #maxTokens: (count: number) => void;
  readonly #promptTokens: (count: number) => void;
  readonly #generationTokens: (count: number) => void;
  readonly #outcomes: Counter<{ finished_reason: Outcome }>;
  readonly #admissionRejections: Counter;

  readonly model: Engine["model"];

  constructor({ model, device }: Engine) {
    this.model = model;
    const resource = resourceFromAttributes({ [MODEL_LABEL]: model.id });
    const meter = new MeterProvider({ resource, readers: [this.#exporter] }).getMeter("ebb");
    const histograms: HistogramDescription[] = [];
    const histogram = (name: string, help: string, buckets: readonly number[]) => {
      histograms.push({ name, help, buckets });
      const advice = { explicitBucketBoundaries: [...buckets] };
      const instrument = meter.createHistogram(name, { description: help, advice });
      return (amount: number) => instrument.record(amount);
    };
    const counter = (name: string, help: string) => meter.createCounter(name, { description: help });
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
    this.#maxTokens = histogram("request_params_max_tokens", "Most tokens that a sequence may generate", lengths);
    const time = (name: string, help: string) => histogram(`request_${name}_time_seconds`, help, REQUEST_BUCKETS);
    this.#queueTime = time("queue", "Before the engine takes a sequence up");
    this.#prefillTime = time("prefill", "From then to its first token");
    this.#decodeTime = time("decode", "From its first token to its last");
    this.#inferenceTime = time("inference", "From its being taken up to its last token");
    this.#histograms = histograms;
    this.#outcomes = counter("request_success_total", "Sequences that ended, by reason");
    this.#admissionRejections = counter("admission_rejections_total", "Requests that the engine refused to queue");
    // A counter without labels is there from the start, for a rate needs a zero to start from.
    this.#admissionRejections.add(0);
    meter.createGauge("device_info", { description: "What computes; always 1" }).record(1, { device });
  }

  /** A request that the engine refused to queue. */
  countRejection(): void {
    this.#admissionRejections.add(1);
  }

  /** Watches one choice. */
  observe({ prompt, maxTokens }: GenerationRequest): ChoiceObserver {
    this.#promptTokens(prompt.length);
    this.#maxTokens(maxTokens);
    return {
      tokens: (count, seconds, areFirst) => {
        if (areFirst) this.#timeToFirstToken(seconds);
        // Tokens come in batches; each of a batch took its share of the time since the one before.
        else for (let token = 0; token < count; token++) this.#interTokenLatency(seconds / count);
      },
      ended: ({ outcome, tokens, times: { arrival, queued, scheduled, firstToken, lastToken, ended } }) => {
        this.#outcomes.add(1, { finished_reason: outcome });
        this.#generationTokens(tokens);
        this.#endToEndLatency((ended - arrival) / 1000);
        if (scheduled === null) return;
        this.#queueTime((scheduled - queued) / 1000);
        if (firstToken === null || lastToken === null) return;
        this.#prefillTime((firstToken - scheduled) / 1000);
        this.#decodeTime((lastToken - firstToken) / 1000);
        this.#inferenceTime((lastToken - scheduled) / 1000);
      },
    };
  }

  /** @param stats null leaves out what only the engine knows */
  async render(stats: EngineStats | null): Promise<string> {
    const { resourceMetrics: { resource, scopeMetrics } } = await this.#exporter.collect();
    const recorded = scopeMetrics.flatMap(({ metrics }) => metrics);
    const names = new Set(recorded.map(({ descriptor }) => descriptor.name));
    const missing = this.#histograms.filter(({ name }) => !names.has(name)).map(emptyHistogramData);
    const metrics = [...recorded, ...missing, ...(stats ? engineMetricData(stats) : [])];
    const text = this.#serializer.serialize({ resource, scopeMetrics: [{ scope: { name: "ebb" }, metrics }] });
    const cache = stats && { model: this.model.id, blockRows: BLOCK_ROWS, blocks: stats.blocksTotal };
    return withVllmNames(text, `${METRICS_PREFIX}_`, cache);
  }
}
