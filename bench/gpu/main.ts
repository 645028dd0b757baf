/**
 * @file `deno task bench gpu`: what Ebb does on this machine's GPU, within some minutes: whether it is right, how fast it
 * is, where the time goes, and beside whom.
 *
 * Every stage is a process of its own with a share of the time. What is known at any moment lies in DIRECTORY/gpu.json;
 * a stage that fails, crashes or runs out of time is recorded there with its error, and the next one starts.
 */
import { readArguments } from "../../fixtures/program.ts";
import { ExitError } from "../../src/cli/exit_codes.ts";
import type { TensorType } from "../../src/formats/model_file.ts";
import { TENSOR_TYPE_NAMES, TENSOR_TYPES } from "../../src/formats/tensor_types.ts";
import { reportOf } from "../../src/eval/report.ts";
import { placeModel } from "./model_place.ts";
import { runPeers } from "./peer_stage.ts";
import { type ProcessOutcome, runProcess } from "./process.ts";
import { profileChart } from "./profile_chart.ts";
import { type GpuResults, ResultFile, type StageName, type StageRecord, STAGES } from "./results.ts";
import { type Lengths, QUICK_LENGTHS, SHAPES } from "./shapes.ts";
import { secondsFor } from "./shares.ts";
import type { StageTask } from "./stage.ts";
import { summary } from "./summary.ts";
import { runTests } from "./test_stage.ts";

export const GPU_USAGE =
  `deno task bench gpu [--minutes 8] [--out bench/out] [--shape llama-3-8b] [--weights Q4_K] [--peers DIRECTORY] [--quick]`;

interface Options {
  readonly minutes: number;
  readonly out: string;
  readonly shape: string;
  readonly weights: TensorType;
  readonly peers?: string;
  readonly quick: boolean;
  readonly lengths: Lengths;
}

/** Kept for writing the last of the results, and for deleting the model's file. */
const LAST_SECONDS = 2;
const STAGE_SCRIPT = new URL("stage.ts", import.meta.url).pathname;
/** By POSIX, what a signal adds to its number as an exit code. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Runs all stages.
 *
 * @returns the exit code: 0 if all stages ran, whatever they found; 1 if one could not; 128 and more after a signal
 * @throws {ExitError} where a flag cannot be followed
 */
export async function checkGpu(args: string[]): Promise<number> {
  const options = readOptions(args);
  const run = new Run(options);
  let signalled = 0;
  const listeners = Object.entries(SIGNALS).map(([signal, code]) => {
    const listener = () => {
      signalled = code;
      run.stop.abort();
    };
    Deno.addSignalListener(signal as Deno.Signal, listener);
    return () => Deno.removeSignalListener(signal as Deno.Signal, listener);
  });
  try {
    await run.all();
  } finally {
    for (const remove of listeners) remove();
  }
  console.log(`\n${summary(run.results)}\n\nWritten: ${run.file.path}`);
  if (signalled > 0) return signalled;
  return Object.values(run.results.stages).some(({ status }) => status === "failed") ? 1 : 0;
}

function readOptions(args: string[]): Options {
  const { values } = parse(args);
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new ExitError("usage", `--minutes is "${values.minutes}": expected a number above 0`);
  const shape = SHAPES[values.shape];
  if (shape === undefined) {
    throw new ExitError(
      "usage",
      `There is no shape "${values.shape}": expected one of ${Object.keys(SHAPES).join(", ")}`,
    );
  }
  const weights = TENSOR_TYPE_NAMES.find((name) => name === values.weights);
  if (weights === undefined) {
    throw new ExitError(
      "usage",
      `There are no weights of type "${values.weights}": expected one of ${TENSOR_TYPE_NAMES.join(", ")}`,
    );
  }
  const { blockElements } = TENSOR_TYPES[weights];
  for (const columns of [shape.hiddenSize, shape.feedForwardSize, shape.queryHeads * shape.headSize]) {
    if (columns % blockElements === 0) continue;
    throw new ExitError("usage", `Rows of ${columns} elements, as ${values.shape} has, cannot be stored as ${weights}`);
  }
  const lengths = values.quick ? QUICK_LENGTHS : shape.lengths;
  return { minutes, out: values.out, shape: values.shape, weights, peers: values.peers, quick: values.quick, lengths };
}

function parse(args: string[]) {
  return readArguments({
    args,
    options: {
      minutes: { type: "string", default: "8" },
      out: { type: "string", default: "bench/out" },
      shape: { type: "string", default: "llama-3-8b" },
      weights: { type: "string", default: "Q4_K" },
      peers: { type: "string" },
      quick: { type: "boolean", default: false },
    },
  });
}

class Run {
  results: GpuResults;
  readonly file: ResultFile;
  /** Ends the stage that runs, and all that would follow. */
  readonly stop = new AbortController();
  readonly #begun = performance.now();
  #modelPath = "";

  constructor(readonly options: Options) {
    const { shape, weights, lengths, minutes } = options;
    this.results = { adapter: "unknown adapter", shape, weights, lengths, minutes, stages: {} };
    this.file = new ResultFile(options.out);
  }

  async all(): Promise<void> {
    const card = await nvidiaCard(this.stop.signal);
    this.results = { ...this.results, card };
    try {
      for (const stage of STAGES) {
        if (this.stop.signal.aborted) break;
        await this.#run(stage);
        if (stage !== "adapter" || this.results.stages.adapter?.results !== undefined) continue;
        this.#say(stage, "nothing else is begun: there is no adapter to run it on");
        break;
      }
    } finally {
      if (this.#modelPath) await Deno.remove(this.#modelPath).catch(() => {});
      await this.#write();
    }
  }

  get #seconds(): number {
    return (performance.now() - this.#begun) / 1000;
  }

  async #run(stage: StageName): Promise<void> {
    const seconds = secondsFor(stage, this.options.minutes * 60 - LAST_SECONDS - this.#seconds);
    this.#say(stage, `begins, has ${seconds.toFixed(0)} s`);
    const begun = this.#seconds;
    let results: unknown;
    const record = (outcome: Pick<StageRecord<unknown>, "status" | "error">) => {
      const entry = { ...outcome, seconds: this.#seconds - begun, results };
      this.results = { ...this.results, stages: { ...this.results.stages, [stage]: entry } };
      return this.#write();
    };
    await record({ status: "running" });
    const report = (found: unknown) => {
      results = found;
      if (stage === "adapter") {
        this.results = { ...this.results, adapter: (found as { info: { name: string } }).info.name };
      }
      record({ status: "running" }).catch((error) => this.#say(stage, `cannot be written: ${error.message}`));
    };
    const outcome = await this.#start(stage, seconds, report).catch((error): ProcessOutcome => ({
      status: "failed",
      error: (error as Error).message,
    }));
    await record(outcome);
    const { status, error } = outcome;
    this.#say(stage, `${status}${error ? `: ${error}` : ""}`);
  }

  async #start(stage: StageName, seconds: number, report: (found: unknown) => void): Promise<ProcessOutcome> {
    const { shape, weights, lengths, quick, out } = this.options;
    const { signal } = this.stop;
    const progress = (line: string) => this.#say(stage, line);
    if (stage === "tests") return await runTests({ seconds, quick, signal, report, progress });
    if (stage === "weights") this.#modelPath = await placeModel(SHAPES[shape], weights, out);
    const needsModel = ["decode", "prefill", "profile", "peers"].includes(stage);
    if (needsModel && this.results.stages.weights?.status !== "done") {
      return { status: "failed", error: "There is no model's file, which the weights stage writes" };
    }
    if (stage === "peers") {
      const measured = this.results.stages.decode?.results?.runs.map(({ promptTokens }) => promptTokens) ?? [];
      const decodePrompts = measured.length > 0 ? [...new Set(measured)] : lengths.cacheRows;
      const cpu = this.results.stages.adapter?.results?.isSoftware ?? false;
      const { peers: directory } = this.options;
      const { signal } = this.stop;
      const modelPath = this.#modelPath;
      return await runPeers(
        { seconds, signal, shape, lengths, decodePrompts, modelPath, directory, cpu, report, progress },
      );
    }
    const { peaks, overheads } = this.results.stages.adapter?.results ?? {};
    const task: StageTask = {
      stage,
      shape,
      lengths,
      weights,
      modelPath: this.#modelPath,
      seconds,
      quick,
      peaks: { ...peaks, dependentDispatchMicroseconds: overheads?.dependentDispatchMicroseconds },
    };
    return await runProcess({
      command: Deno.execPath(),
      args: ["run", "-A", "--cached-only", "--no-check", STAGE_SCRIPT, JSON.stringify(task)],
      seconds,
      signal,
      onLine: (line) => {
        if (line.startsWith('{"results":') && line.endsWith("}")) report(JSON.parse(line).results);
      },
      onErrorLine: progress,
    });
  }

  /** The file is written, and the picture drawn, from what is known. */
  async #write(): Promise<void> {
    await this.file.write(reportOf("gpu", this.options.quick, this.results));
    const chart = profileChart(this.results);
    if (chart !== undefined) await Deno.writeTextFile(`${this.options.out}/gpu-profile.svg`, chart);
  }

  #say(stage: StageName, line: string): void {
    console.error(`[${this.#seconds.toFixed(0).padStart(4)} s] ${stage}: ${line}`);
  }
}

/** Name, driver and memory of the first NVIDIA card; undefined where there is none. */
async function nvidiaCard(signal: AbortSignal): Promise<string | undefined> {
  const lines: string[] = [];
  const { status } = await runProcess({
    command: "nvidia-smi",
    args: ["--query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem", "--format=csv,noheader"],
    seconds: 10,
    signal,
    onLine: (line) => lines.push(line),
  });
  return status === "done" ? lines[0] : undefined;
}
