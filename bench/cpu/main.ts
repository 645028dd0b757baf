/**
 * @file `deno task bench cpu`: how fast the CPU engine reads prompts and answers, beside the GPU engine on a software adapter
 * (`--gpu`) and other programs, each of which lies in a directory of its own: see peer.ts. All of them are loaded at once and take
 * turns, so that what else the machine does meets them alike; medians count.
 */
import { availableParallelism } from "node:os";
import { count, readArguments } from "../../fixtures/program.ts";
import { ExitError } from "../../src/cli/exit_codes.ts";
import { digits, table } from "../../src/charts/text_table.ts";
import { reportOf } from "../../src/eval/report.ts";
import { EMBEDDED_MODEL } from "../../src/serving/embedded_model.ts";
import { writeReport } from "../report.ts";
import { median } from "../statistics.ts";
import type { Case, Contender, Timing } from "./contender.ts";
import { startEbb } from "./ebb.ts";
import { measurePeaks } from "./peaks.ts";
import { type PeerFlag, PEERS, startPeer } from "./peer.ts";

export const CPU_USAGE = `deno task bench cpu [--model FILE] [--threads N] [--rounds N] [--gpu] [--quick]${
  Object.keys(PEERS).map((flag) => ` [--${flag} DIRECTORY]`).join("")
}`;

const DEFAULT_ROUNDS = 3;

interface Cases {
  readonly prompts: readonly number[];
  readonly streams: readonly number[];
  readonly tokens: number;
}

const CASES: Cases = { prompts: [128, 512, 2048], streams: [1, 4, 8], tokens: 48 };
const QUICK_CASES: Cases = { prompts: [128], streams: [1, 4], tokens: 12 };
/** Tokens of the prompts that answers are drawn behind. */
const ANSWER_PROMPT = 64;

/** One engine's speed, in tokens per second of all streams together. */
interface Speeds {
  readonly name: string;
  readonly ready: number;
  readonly memory?: number;
  /** By prompt length. */
  readonly prompts: Record<number, number>;
  /** By number of streams. */
  readonly answers: Record<number, number>;
}

async function requirePackages(flag: PeerFlag, directory: string | undefined): Promise<void> {
  if (directory === undefined || await Deno.stat(`${directory}/node_modules`).then(() => true, () => false)) return;
  throw new ExitError(
    "usage",
    `--${flag} must be a folder in which npm has installed it, but ${directory} has no node_modules`,
  );
}

/** Runs the benchmark. @throws {ExitError} where a flag cannot be followed */
export async function benchmarkCpu(args: string[]): Promise<void> {
  const { values } = readArguments({
    args,
    options: {
      model: { type: "string", default: EMBEDDED_MODEL },
      "llama-cpp": { type: "string" },
      wllama: { type: "string" },
      "transformers-js": { type: "string" },
      threads: { type: "string", default: String(availableParallelism()) },
      rounds: { type: "string" },
      gpu: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
    },
  });
  const { model, quick, gpu } = values;
  const threads = count("--threads", values.threads);
  const rounds = count("--rounds", values.rounds ?? String(quick ? 1 : DEFAULT_ROUNDS));
  for (const flag of Object.keys(PEERS) as PeerFlag[]) await requirePackages(flag, values[flag]);
  const cases = quick ? QUICK_CASES : CASES;
  const context = Math.max(...cases.prompts, ANSWER_PROMPT) + cases.tokens + 16;
  const peaks = await measurePeaks(threads);
  const contenders: Contender[] = [
    await startEbb("Ebb, int8", model, { device: "cpu", weights: "int8", threads, context }),
    await startEbb("Ebb, f32", model, { device: "cpu", weights: "f32", threads, context }),
  ];
  for (const flag of Object.keys(PEERS) as PeerFlag[]) {
    const directory = values[flag];
    if (directory !== undefined) contenders.push(await startPeer(flag, { directory, model, threads, context }));
  }
  if (gpu) contenders.push(await startEbb("Ebb, software adapter", model, { device: "gpu", context }));
  try {
    const speeds = await measure(contenders, cases, rounds);
    const results = { model: model.split("/").at(-1)!, threads, rounds, peaks, speeds };
    console.log(describe(results, cases));
    console.log(`Written: ${await writeReport(reportOf("cpu", quick, results))}`);
  } finally {
    for (const contender of contenders) await contender.close();
  }
}

async function measure(contenders: readonly Contender[], cases: Cases, rounds: number): Promise<Speeds[]> {
  const speeds: Speeds[] = contenders.map(({ name, ready, memory }) => ({
    name,
    ready,
    memory,
    prompts: {},
    answers: {},
  }));
  for (const prompt of cases.prompts) {
    const timings = await takeTurns(contenders, { prompt, streams: 1, tokens: 1 }, rounds);
    timings.forEach((own, i) => speeds[i].prompts[prompt] = prompt / median(own.map(({ first }) => first)));
  }
  for (const streams of cases.streams) {
    const timings = await takeTurns(contenders, { prompt: ANSWER_PROMPT, streams, tokens: cases.tokens }, rounds);
    const drawn = streams * (cases.tokens - 1);
    timings.forEach((own, i) => speeds[i].answers[streams] = drawn / median(own.map(({ rest }) => rest)));
  }
  return speeds;
}

/** Timings of a case by contender, one of each in every round, after one that does not count. */
async function takeTurns(contenders: readonly Contender[], work: Case, rounds: number): Promise<Timing[][]> {
  const timings: Timing[][] = contenders.map(() => []);
  for (let round = -1; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      console.error(`${work.streams} x ${work.prompt} + ${work.tokens} tokens, round ${round + 1}: ${contender.name}`);
      const timing = await contender.run(work);
      if (round >= 0) timings[i].push(timing);
    }
  }
  return timings;
}

function describe(
  { model, threads, rounds, peaks, speeds }: {
    readonly model: string;
    readonly threads: number;
    readonly rounds: number;
    readonly peaks: { readonly readBytes: number; readonly operations: number };
    readonly speeds: readonly Speeds[];
  },
  { prompts, streams }: Cases,
): string {
  const header = [
    "engine",
    ...prompts.map((length) => `prompt of ${length}`),
    ...streams.map((count) => `answer, ${count} ${count === 1 ? "stream" : "streams"}`),
    "ready, s",
    "memory, MiB",
  ];
  const rows = speeds.map(({ name, prompts: read, answers, ready, memory }) => [
    name,
    ...prompts.map((length) => digits(read[length])),
    ...streams.map((count) => digits(answers[count])),
    digits(ready),
    memory === undefined ? "" : digits(memory / 2 ** 20),
  ]);
  return [
    `${model} on ${threads} CPU threads: tokens/s of all streams together, medians of ${rounds} in turns`,
    `onnxruntime reads ${digits(peaks.readBytes / 1e9)} GB/s of f32 weights for one row and multiplies ` +
    `${digits(peaks.operations / 1e9)} GFLOP/s`,
    "",
    table(header, rows),
    "",
  ].join("\n");
}
