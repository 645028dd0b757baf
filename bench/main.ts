/**
 * @file `deno task bench [kernels] [decode] [compression] [requests] [plot] [--quick]`: measures, prints tables, writes JSON.
 *
 * Without names everything runs. Results go to bench/results/ and figures, drawn from them, to docs/figures/; with `--quick`
 * both go to bench/out/. Progress goes to stderr.
 */
import { parseArgs } from "node:util";
import { benchmarkCompression, type CompressionResults } from "./compression.ts";
import { benchmarkDecode } from "./decode.ts";
import type { KernelResults } from "./kernel_results.ts";
import { benchmarkKernels } from "./kernels.ts";
import { bytesChart, kernelsChart, rowsChart } from "./plot.ts";
import { reportOf } from "../src/eval/report.ts";
import { benchmarkRequests, requestsText } from "./requests.ts";
import { readReport, writeFigure, writeReport } from "./report.ts";
import { compressionText, decodeText, kernelsText } from "./tables.ts";

const NAMES = ["kernels", "decode", "compression", "requests", "plot"];

/** A usage error. */
class CommandLineError extends Error {}

/** Which benchmarks the command line asks for. */
function parseCommandLine(args: string[]): { wanted: readonly string[]; quick: boolean } {
  const { values: { quick }, positionals } = parseArguments(args);
  const unknown = positionals.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    throw new CommandLineError(`There is no benchmark "${unknown}": expected one of ${NAMES.join(", ")}`);
  }
  return { wanted: positionals.length === 0 ? NAMES : positionals, quick };
}

function parseArguments(args: string[]) {
  try {
    return parseArgs({ args, options: { quick: { type: "boolean", default: false } }, allowPositionals: true });
  } catch (error) {
    throw new CommandLineError((error as Error).message);
  }
}

async function report<Results>(
  name: string,
  quick: boolean,
  measure: (options: { quick: boolean }, progress: (line: string) => void) => Promise<Results | undefined>,
  describe: (results: Results) => string,
): Promise<void> {
  const results = await measure({ quick }, (line) => console.error(line));
  if (results === undefined) return;
  console.log(`\n${describe(results)}\n`);
  console.log(`Written: ${await writeReport(reportOf(name, quick, results))}`);
}

async function plot(quick: boolean): Promise<void> {
  const kernels = await readReport<KernelResults>("kernels", quick);
  const compression = await readReport<CompressionResults>("compression", quick);
  const figures: [string, string | undefined][] = [
    ["kernel-speed", kernels && kernelsChart(kernels)],
    ["kv-cache-bytes", compression && bytesChart(compression)],
    ["rows-per-layer", compression && rowsChart(compression)],
  ];
  for (const [name, svg] of figures) {
    if (svg !== undefined) console.log(`Drawn: ${await writeFigure(name, svg, quick)}`);
  }
}

try {
  const { wanted, quick } = parseCommandLine(Deno.args);
  if (wanted.includes("kernels")) await report("kernels", quick, benchmarkKernels, kernelsText);
  if (wanted.includes("decode")) await report("decode", quick, benchmarkDecode, decodeText);
  if (wanted.includes("compression")) await report("compression", quick, benchmarkCompression, compressionText);
  if (wanted.includes("requests")) await report("requests", quick, benchmarkRequests, requestsText);
  if (wanted.includes("plot")) await plot(quick);
} catch (error) {
  console.error((error as Error).message);
  Deno.exit(error instanceof CommandLineError ? 2 : 1);
}
