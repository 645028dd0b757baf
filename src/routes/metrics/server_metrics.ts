/** @file The metrics of a server: of HTTP, and those of each model that was loaded, in one text. */
import type { Attributes } from "@opentelemetry/api";
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import type { Engine } from "../../contract/engine.ts";
import type { Models } from "../../serving/models.ts";
import { Metrics, METRICS_PREFIX, MODEL_LABEL } from "./metrics.ts";

const HTTP_METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"]);

export class ServerMetrics {
  readonly contentType = "text/plain; version=0.0.4; charset=utf-8";
  readonly #exporter = new PrometheusExporter({ preventServerStart: true });
  readonly #serializer = new PrometheusSerializer(METRICS_PREFIX, false, undefined, true, true);
  /** By their labels: an instrument takes longer to find its sum than a health check takes. */
  readonly #httpRequests = new Map<string, { readonly labels: Attributes; count: number }>();
  /** By id; they outlive the model's being unloaded, for counters must not begin anew. */
  readonly #models = new Map<string, Metrics>();

  constructor(readonly models: Models) {
    const meter = new MeterProvider({ readers: [this.#exporter] }).getMeter("ebb");
    const requests = meter.createObservableCounter("http_requests_total", {
      description: "HTTP requests, by route and status",
    });
    requests.addCallback((result) => {
      for (const { labels, count } of this.#httpRequests.values()) result.observe(count, labels);
    });
    for (const { loaded } of models.list()) if (loaded !== undefined) this.of(loaded.engine);
  }

  /** The metrics of an engine's model. */
  of(engine: Engine): Metrics {
    const { id } = engine.model;
    const known = this.#models.get(id);
    if (known !== undefined) return known;
    const made = new Metrics(engine);
    this.#models.set(id, made);
    return made;
  }

  /**
   * @param method of HTTP's own, as every other one counts as `unknown`: clients choose it, and each value stays forever
   * @param path the route's pattern, never the path itself, which clients choose
   * @param model the model that it used, if any; of several
   */
  countHttpRequest(method: string, path: string, status: number, model: string | undefined): void {
    const all = this.models.list();
    const named = all.length === 1 ? all[0].id : model;
    const known = HTTP_METHODS.has(method) ? method : "unknown";
    const key = `${known} ${status} ${path} ${named}`;
    const counted = this.#httpRequests.get(key);
    if (counted !== undefined) return void counted.count++;
    const labels = { method: known, path, status, ...named !== undefined && { [MODEL_LABEL]: named } };
    this.#httpRequests.set(key, { labels, count: 1 });
  }

  /** @param report told of engines that cannot answer, which costs their own metrics only */
  async render(report: (error: unknown) => void): Promise<string> {
    const engines = new Map(this.models.list().map(({ id, loaded }) => [id, loaded?.engine]));
    const texts = await Promise.all([...this.#models].map(async ([id, metrics]) => {
      const stats = await engines.get(id)?.stats().catch(report);
      return await metrics.render(stats ?? null);
    }));
    const { resourceMetrics } = await this.#exporter.collect();
    return mergeFamilies([...texts, this.#serializer.serialize(resourceMetrics)]);
  }
}

/** Texts of Prometheus as one, in which each family of samples has its head once. */
export function mergeFamilies(texts: readonly string[]): string {
  const families = new Map<string, string>();
  for (const family of texts.flatMap((text) => text.split(/^(?=# HELP )/m))) {
    const [, name, head, samples] = /^# HELP (\S+)(.*\n# TYPE .*\n)([\s\S]*)$/.exec(family) ?? [];
    if (name === undefined) continue;
    const before = families.get(name) ?? `# HELP ${name}${head}`;
    families.set(name, `${before}${samples.replace(/\n*$/, "\n")}`);
  }
  return [...families.values()].join("");
}
