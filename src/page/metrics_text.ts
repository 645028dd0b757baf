/** @file The few figures of `GET /metrics` that the page shows, out of Prometheus's text. */

/** What one reading of the metrics says. */
export interface Reading {
  /** Milliseconds, of any clock. */
  readonly time: number;
  readonly running: number;
  readonly waiting: number;
  /** Tokens since the start. */
  readonly promptTokens: number;
  readonly generatedTokens: number;
  readonly blocks: number;
  readonly blocksUsedPerLayer: readonly number[];
}

/** What is told of a model; null of one that has not been loaded yet. @throws {TypeError} where a metric is missing */
export function readMetrics(text: string, model: string, time: number): Reading | null {
  const samples = Map.groupBy(
    [...text.matchAll(/^(ebb_\w+)\{([^}]*)\} (\S+)/gm)].filter(([, , labels]) =>
      labels.includes(`model_name=${JSON.stringify(model)}`)
    ).map(([, name, labels, value]) => ({
      name,
      layer: Number(/\blayer="(\d+)"/.exec(labels)?.[1] ?? 0),
      value: Number(value),
    })),
    ({ name }) => name,
  );
  if (!samples.has("ebb_kv_blocks")) return null;
  const one = (name: string) => {
    const sample = samples.get(name)?.[0];
    if (sample === undefined) throw new TypeError(`/metrics has no ${name}`);
    return sample.value;
  };
  return {
    time,
    running: one("ebb_num_requests_running"),
    waiting: one("ebb_num_requests_waiting"),
    promptTokens: one("ebb_prompt_tokens_total"),
    generatedTokens: one("ebb_generation_tokens_total"),
    blocks: one("ebb_kv_blocks"),
    blocksUsedPerLayer: (samples.get("ebb_kv_blocks_used") ?? []).toSorted((a, b) => a.layer - b.layer)
      .map(({ value }) => value),
  };
}

/** Tokens a second between the first and the last of some readings; 0 of fewer than two. */
export function rate(readings: readonly Reading[], of: "promptTokens" | "generatedTokens"): number {
  const [first, last] = [readings[0], readings.at(-1)];
  if (first === undefined || last === undefined || last.time <= first.time) return 0;
  // A server that was started anew counts from 0.
  return Math.max(0, (last[of] - first[of]) / (last.time - first.time) * 1000);
}
