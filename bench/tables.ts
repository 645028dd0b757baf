/** @file The reports as text for people. */
import { type CompressionResults, describe } from "./compression.ts";
import type { DecodeResults, DecodeRun } from "./decode.ts";
import type { KernelResults, Peaks, Speed } from "./kernel_results.ts";
import { digits, table } from "../src/charts/text_table.ts";

const percent = (share: number) => `${digits(100 * share)} %`;

/** Every kernel, and below it the peer's ways to do the same. */
export function kernelsText({ adapter, peaks, results }: KernelResults): string {
  const rows = results.flatMap(({ group, name, ebb, peers }) => [
    [`${group}, ${name}`, "Ebb", ...speedCells(ebb, peaks), "", ""],
    ...peers.map((peer) => [
      "",
      peer.kernel,
      ...speedCells(peer, peaks),
      `${digits(peer.microseconds / ebb.microseconds)}x`,
      peer.difference.toExponential(0),
    ]),
  ]);
  const header = ["operation", "engine", "us", "GFLOP/s", "GB/s", "of peak", "Ebb faster by", "difference"];
  return [
    `Kernels of Ebb and of onnxruntime-web on ${adapter}`,
    "Medians of samples in turns; a sample is a chain of operations whose operands stay on the GPU",
    `Peaks measured: ${digits(peaks.operationsPerSecond / 1e9)} GFLOP/s of f32 multiply-adds, ` +
    `${digits(peaks.readBytesPerSecond / 1e9)} GB/s of reads`,
    "",
    table(header, rows),
  ].join("\n");
}

function speedCells({ microseconds, gflops, gigabytesPerSecond }: Speed, peaks: Peaks): string[] {
  const arithmetic = gflops * 1e9 / peaks.operationsPerSecond;
  const reads = (gigabytesPerSecond ?? 0) * 1e9 / peaks.readBytesPerSecond;
  return [
    digits(microseconds),
    digits(gflops),
    gigabytesPerSecond === undefined ? "" : digits(gigabytesPerSecond),
    // What bounds it is what it uses the larger share of.
    reads > arithmetic ? `${percent(reads)} reads` : `${percent(arithmetic)} arithmetic`,
  ];
}

/** A column for each number of streams. */
export function decodeText({ model, adapter, runs, idleStallMilliseconds }: DecodeResults): string {
  const lines: [string, (run: DecodeRun) => string][] = [
    ["tokens per stream", (run) => String(run.tokensPerStream)],
    ["tokens/s, all streams", (run) => digits(run.tokensPerSecond)],
    ["dispatches per step", (run) => digits(run.dispatchesPerStep)],
    ["dispatches per token", (run) => digits(run.dispatchesPerToken)],
    ["steps per submit", (run) => digits(run.stepsPerSubmit)],
    ["CPU encoding per token, us", (run) => digits(run.encodeMicrosecondsPerToken)],
    ["buffers created", (run) => String(run.buffersCreated)],
    ["bind groups created", (run) => String(run.bindGroupsCreated)],
    ["longest stall of the HTTP thread, ms", (run) => digits(run.longestStallMilliseconds)],
  ];
  return [
    `Decoding ${model} on ${adapter}`,
    "",
    table(
      ["", ...runs.map(({ streams }) => `${streams} ${streams === 1 ? "stream" : "streams"}`)],
      lines.map(([label, cell]) => [label, ...runs.map(cell)]),
    ),
    "",
    ...runs.filter(({ streams }) => streams > 1).map(({ streams, tokensPerStream, tokensPerSecond }) => {
      const single = runs.find((run) => run.streams === 1 && run.tokensPerStream === tokensPerStream)!;
      const factor = digits(tokensPerSecond / single.tokensPerSecond);
      return `${streams} streams of ${tokensPerStream} tokens in total are ${factor}x as fast as one`;
    }),
    `The longest gap of the timer that looks for stalls, while the engine idles: ${digits(idleStallMilliseconds)} ms`,
  ].join("\n");
}

/** A line for each policy. */
export function compressionText({ adapter, promptTokens, runs, model }: CompressionResults): string {
  const full = runs.find(({ policy }) => policy === "full")!;
  const mebibytes = (bytes: number) => digits(bytes / 2 ** 20);
  const header = [
    "policy",
    "kept",
    "of full",
    "peak",
    "in blocks",
    "in scratch",
    "first token, s",
    "against full",
    "rows per layer",
  ];
  return [
    `KV cache of a prompt of ${promptTokens} tokens through ${model.layers} layers on ${adapter}; sizes in MiB`,
    "",
    table(
      header,
      runs.map((run) => [
        describe(run),
        mebibytes(run.finalBytes),
        percent(run.finalBytes / full.finalBytes),
        mebibytes(run.peakPoolBytes + run.scratchBytes),
        mebibytes(run.peakPoolBytes),
        mebibytes(run.scratchBytes),
        digits(run.firstTokenSeconds),
        percent(run.firstTokenSeconds / full.firstTokenSeconds),
        `${Math.min(...run.rowsPerLayer)} to ${Math.max(...run.rowsPerLayer)}`,
      ]),
    ),
  ].join("\n");
}
