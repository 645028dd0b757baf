/** @file What a load came to: the metrics of `vllm bench serve`, under its names. */
import type { Measured } from "./measure.ts";

/** Times of which limits can be set, and their names for people. */
export const TIMES = {
  ttft: "Time to first token",
  tpot: "Time per output token, without the first",
  itl: "Time between pieces",
  e2el: "Time of a request",
} as const;

export type TimeName = keyof typeof TIMES;

/** Most milliseconds with which a request counts as good. */
export type Goodput = Readonly<Partial<Record<TimeName, number>>>;

const PERCENTILES = [50, 90, 95, 99] as const;

/** How times are spread, in milliseconds. */
export interface Spread {
  readonly mean: number;
  readonly median: number;
  readonly std: number;
  readonly percentiles: Readonly<Record<(typeof PERCENTILES)[number], number>>;
}

/** What a load came to. Rates are per second. */
export interface LoadSummary {
  readonly duration: number;
  readonly completed: number;
  readonly failed: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly requestThroughput: number;
  /** Of requests within all limits; null without any. */
  readonly requestGoodput: number | null;
  readonly outputThroughput: number;
  readonly totalTokenThroughput: number;
  readonly times: Readonly<Record<TimeName, Spread>>;
  /** Why requests failed, each reason once. */
  readonly errors: readonly string[];
}

/** @param seconds from the first request's being sent to the end of the last */
export function summariseLoad(measured: readonly Measured[], seconds: number, goodput: Goodput = {}): LoadSummary {
  const completed = measured.filter(({ error }) => error === null);
  const sum = (value: (one: Measured) => number) => completed.reduce((total, one) => total + value(one), 0);
  const inputTokens = sum((one) => one.inputTokens);
  const outputTokens = sum((one) => one.outputTokens);
  const limits = Object.entries(goodput) as [TimeName, number][];
  const good = completed.filter((one) =>
    limits.every(([name, most]) => timesOf(one)[name].every((time) => time <= most))
  );
  const spread = (name: TimeName) => spreadOf(completed.flatMap((one) => timesOf(one)[name]));
  return {
    duration: seconds,
    completed: completed.length,
    failed: measured.length - completed.length,
    inputTokens,
    outputTokens,
    requestThroughput: completed.length / seconds,
    requestGoodput: limits.length > 0 ? good.length / seconds : null,
    outputThroughput: outputTokens / seconds,
    totalTokenThroughput: (inputTokens + outputTokens) / seconds,
    times: { ttft: spread("ttft"), tpot: spread("tpot"), itl: spread("itl"), e2el: spread("e2el") },
    errors: [...new Set(measured.flatMap(({ error }) => error ?? []))],
  };
}

/** The times of one request. */
function timesOf({ firstToken, end, gaps, outputTokens }: Measured): Record<TimeName, readonly number[]> {
  return {
    ttft: [firstToken],
    tpot: outputTokens > 1 ? [(end - firstToken) / (outputTokens - 1)] : [],
    itl: gaps,
    e2el: [end],
  };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const mean = sorted.reduce((sum, value) => sum + value, 0) / (sorted.length || 1);
  const variance = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (sorted.length || 1);
  const [p50, p90, p95, p99] = PERCENTILES.map((percentile) => percentileOf(sorted, percentile));
  return { mean, median: p50, std: Math.sqrt(variance), percentiles: { 50: p50, 90: p90, 95: p95, 99: p99 } };
}

/** Between the two nearest values, as NumPy does it; 0 of none. */
function percentileOf(sorted: readonly number[], percentile: number): number {
  if (sorted.length === 0) return 0;
  const place = (sorted.length - 1) * percentile / 100;
  const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low + (high - low) * (place - Math.floor(place));
}

/** As vLLM writes it. */
export function summaryJson(summary: LoadSummary): Record<string, unknown> {
  const times = Object.entries(summary.times).flatMap(([name, { mean, median, std, percentiles }]) => [
    [`mean_${name}_ms`, mean],
    [`median_${name}_ms`, median],
    [`std_${name}_ms`, std],
    ...Object.entries(percentiles).map(([percentile, value]) => [`p${percentile}_${name}_ms`, value]),
  ]);
  return {
    duration: summary.duration,
    completed: summary.completed,
    failed: summary.failed,
    total_input_tokens: summary.inputTokens,
    total_output_tokens: summary.outputTokens,
    request_throughput: summary.requestThroughput,
    request_goodput: summary.requestGoodput,
    output_throughput: summary.outputThroughput,
    total_token_throughput: summary.totalTokenThroughput,
    ...Object.fromEntries(times),
    errors: summary.errors,
  };
}
