/**
 * @file `deno task bench [kernels] [decode] [compression] [requests] [plot] [--quick]`: measures, prints tables, writes JSON;
 * `deno task bench gpu` examines this machine's GPU (see gpu/main.ts), and `deno task bench report` writes what GPUs were
 * found to do into docs/benchmarks.md; `deno task bench cpu` compares engines on the CPU (see cpu/main.ts). `--help` lists
 * the flags.
 *
 * Without names everything runs. Results go to bench/results/ and figures, drawn from them, to docs/figures/; with `--quick`
 * both go to bench/out/. Progress goes to stderr.
 */
import { readArguments, runProgram } from "../fixtures/program.ts";
import { ExitError } from "../src/cli/exit_codes.ts";
import { benchmarkCompression, type CompressionResults } from "./compression.ts";
import { benchmarkDecode } from "./decode.ts";
import type { KernelResults } from "./kernel_results.ts";
import { benchmarkCpu, CPU_USAGE } from "./cpu/main.ts";
import { checkGpu, GPU_USAGE } from "./gpu/main.ts";
import { writeGpuPage } from "./gpu/page.ts";
import { bytesChart, kernelsChart } from "./plot.ts";
import { reportOf } from "../src/eval/report.ts";
import { benchmarkRequests, requestsText } from "./requests.ts";
import { readReport, writeFigure, writeReport } from "./report.ts";
import { compressionText, decodeText } from "./tables.ts";

/** Each has arguments of its own. */
const SINGLE_NAMES = ["gpu", "cpu", "report"];
const NAMES = ["kernels", "decode", "compression", "requests", "plot"];

const USAGE = `Usage: deno task bench [${NAMES.join("|")} ...] [--quick]
       ${GPU_USAGE}
       ${CPU_USAGE}
       deno task bench report`;

/** Which benchmarks the command line asks for. */
function parseCommandLine(args: string[]): { wanted: readonly string[]; quick: boolean } {
  const options = { quick: { type: "boolean", default: false } } as const;
  const { values: { quick }, positionals } = readArguments({ args, options, allowPositionals: true });
  const unknown = positionals.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    throw new ExitError(
      "usage",
      `There is no benchmark "${unknown}": expected one of ${[...NAMES, ...SINGLE_NAMES].join(", ")}`,
    );
  }
  return { wanted: positionals.length === 0 ? NAMES : positionals, quick };
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
  ];
  for (const [name, svg] of figures) {
    if (svg !== undefined) console.log(`Drawn: ${await writeFigure(name, svg, quick)}`);
  }
}

/** In a process of its own, since only it needs what its peer needs. */
async function measureKernels(quick: boolean): Promise<void> {
  const path = (name: string) => new URL(name, import.meta.url).pathname;
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `--lock=${path("deno.lock")}`, path("kernels_main.ts"), ...(quick ? ["--quick"] : [])],
    stdin: "inherit",
  }).spawn().status;
  if (!success) throw new Error("The kernels could not be measured: see above");
}

/** The benchmarks that can run one after the other. */
async function measure(args: string[]): Promise<void> {
  const { wanted, quick } = parseCommandLine(args);
  if (wanted.includes("kernels")) await measureKernels(quick);
  if (wanted.includes("decode")) await report("decode", quick, benchmarkDecode, decodeText);
  if (wanted.includes("compression")) await report("compression", quick, benchmarkCompression, compressionText);
  if (wanted.includes("requests")) await report("requests", quick, benchmarkRequests, requestsText);
  if (wanted.includes("plot")) await plot(quick);
}

async function run([name, ...rest]: string[]): Promise<number> {
  if (name === "gpu") return await checkGpu(rest);
  if (name === "cpu") {
    await benchmarkCpu(rest);
    return 0;
  }
  if (name === "report") {
    if (rest.length > 0) throw new ExitError("usage", `report takes no arguments, got "${rest.join(" ")}"`);
    console.log(`Written: ${(await writeGpuPage()).join(", ")}`);
    return 0;
  }
  await measure(name === undefined ? [] : [name, ...rest]);
  return 0;
}

await runProgram(USAGE, run);
