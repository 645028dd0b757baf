/** @file Draws the figures of the documentation from the reports. */
import type { CompressionResults } from "./compression.ts";
import { describe } from "./compression.ts";
import type { KernelResult, KernelResults } from "./kernel_results.ts";
import { digits } from "../src/charts/text_table.ts";
import type { Report } from "../src/eval/report.ts";
import { type Bar, drawChart, type Panel, type Series } from "../src/charts/svg.ts";

const EBB: Series = { name: "Ebb", colour: "#2a6fbb" };
const PEER: Series = { name: "onnxruntime-web, its fastest way", colour: "#b0b0b0" };
const KEPT: Series = { name: "kept blocks", colour: "#2a6fbb" };
const PEAK: Series = { name: "most blocks held while reading", colour: "#e08a2e" };
const SCRATCH: Series = { name: "one layer's keys and values while reading", colour: "#f3cf9f" };

/** Where and when a report was measured, in words. */
function circumstances({ date, deno, cpuThreads }: Report<unknown>, adapter: string): string {
  return `${adapter}, ${cpuThreads} CPU threads, Deno ${deno}, ${date.slice(0, 10)}`;
}

/** The peer's fastest way of a case, if it has one. */
export function fastestPeer({ peers }: KernelResult): KernelResult["peers"][number] | undefined {
  return peers.toSorted((a, b) => a.microseconds - b.microseconds)[0];
}

/** Speed of kernels beside the peer's. */
export function kernelsChart(report: Report<KernelResults>): string {
  const groups = ["prefill product", "decode product", "prefill attention", "decode attention"] as const;
  const titles = {
    "prefill product": "Matrix products of prefill (vectors x columns x rows)",
    "decode product": "Matrix products of decoding (vectors x columns x rows)",
    "prefill attention": "Causal attention of prefill, 9 query heads, 3 KV heads of 64",
    "decode attention": "Attention of decoding, 9 query heads, 3 KV heads of 64",
  };
  const panels = groups.map((group): Panel => ({
    title: titles[group],
    axis: "GFLOP/s (longer is faster)",
    rows: report.results.results.filter((result) => result.group === group).map((result) => {
      const peer = fastestPeer(result);
      const bars: Bar[] = [{ segments: [{ series: EBB, value: result.ebb.gflops }] }];
      bars.push(
        peer === undefined
          ? { segments: [], text: "no such kernel" }
          : { segments: [{ series: PEER, value: peer.gflops }] },
      );
      return { label: result.name, bars };
    }),
  }));
  return drawChart({
    title: "Kernels beside onnxruntime-web's WebGPU kernels",
    notes: [circumstances(report, report.results.adapter)],
    series: [EBB, PEER],
    panels,
    columns: 2,
    panelWidth: 500,
  });
}

/** Bytes of the KV cache under each policy. */
export function bytesChart(report: Report<CompressionResults>): string {
  const { runs, promptTokens, adapter, model } = report.results;
  const mebibytes = (bytes: number) => bytes / 2 ** 20;
  const full = runs.find(({ policy }) => policy === "full")!;
  return drawChart({
    title: `KV cache of a prompt of ${promptTokens} tokens`,
    notes: [
      `${model.layers} layers, ${model.kvHeads} KV heads of ${model.headSize}, f16; whole blocks of 16 rows`,
      circumstances(report, adapter),
    ],
    series: [KEPT, PEAK, SCRATCH],
    columns: 1,
    panelWidth: 760,
    panels: [{
      title: "Bytes by policy and mean rows per layer: kept, and at the peak",
      axis: "MiB",
      rows: runs.map((run) => ({
        label: describe(run),
        bars: [
          {
            segments: [{ series: KEPT, value: mebibytes(run.finalBytes) }],
            text: `${digits(mebibytes(run.finalBytes))} (${digits(100 * run.finalBytes / full.finalBytes)} %)`,
          },
          {
            segments: [
              { series: PEAK, value: mebibytes(run.peakPoolBytes) },
              { series: SCRATCH, value: mebibytes(run.scratchBytes) },
            ],
          },
        ],
      })),
    }],
  });
}
