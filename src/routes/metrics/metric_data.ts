/** @file Metrics that no instrument holds, as OpenTelemetry's data: what the engine counts, and histograms of nothing yet. */
import { ValueType } from "@opentelemetry/api";
import { AggregationTemporality, DataPointType, type MetricData } from "@opentelemetry/sdk-metrics";
import type { EngineStats } from "../../contract/engine.ts";
import { ENGINE_METRICS } from "./engine_metrics.ts";

/** A histogram's name, with what it counts and the upper bounds of its buckets. */
export interface HistogramDescription {
  readonly name: string;
  readonly help: string;
  readonly buckets: readonly number[];
}

/** The engine's metrics: its own counts, so that no instrument need add them up again. */
export function engineMetricData(stats: EngineStats): MetricData[] {
  return ENGINE_METRICS.map(({ name, type, help, value }) => {
    const amount = value(stats);
    const dataPoints = typeof amount === "number"
      ? [dataPoint(amount, {})]
      : isByLayer(amount)
      ? amount.map((layerAmount, layer) => dataPoint(layerAmount, { layer }))
      : Object.entries<number>(amount).map(([policy, policyAmount]) => dataPoint(policyAmount, { policy }));
    const common = describe(name, help);
    return type === "counter"
      ? { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
      : { ...common, dataPointType: DataPointType.GAUGE, dataPoints };
  });
}

function isByLayer(amount: readonly number[] | Readonly<Record<string, number>>): amount is readonly number[] {
  return Array.isArray(amount);
}

/**
 * A histogram that nothing was recorded in. The SDK leaves such out, but Prometheus wants to see them: a rate needs a zero
 * to start from.
 */
export function emptyHistogramData({ name, help, buckets }: HistogramDescription): MetricData {
  const counts = Array(buckets.length + 1).fill(0);
  return {
    ...describe(name, help),
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints: [dataPoint({ buckets: { boundaries: [...buckets], counts }, sum: 0, count: 0 }, {})],
  };
}

function describe(name: string, help: string) {
  return {
    descriptor: { name, description: help, unit: "", valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
}

/** Prometheus's text carries no times, so none is filled in. */
function dataPoint<Value>(value: Value, attributes: Record<string, number | string>) {
  return { value, attributes, startTime: [0, 0] as [number, number], endTime: [0, 0] as [number, number] };
}
