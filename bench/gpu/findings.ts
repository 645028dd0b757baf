/** @file The results as sections of notes and tables, for a terminal and for a page alike. */
import { digits as finiteDigits } from "../../src/charts/text_table.ts";
import type {
  AdapterResults,
  DecodeResults,
  GoldenResults,
  GpuResults,
  PeerResults,
  PrefillResults,
  ProfileResults,
  StageRecord,
  TestResults,
  WeightResults,
} from "./results.ts";

export interface Section {
  readonly title: string;
  readonly notes: readonly string[];
  readonly tables: readonly { readonly header: readonly string[]; readonly rows: readonly (readonly string[])[] }[];
}

/** Failures that are told with their messages. */
const MOST_FAILURES = 20;

/** JSON knows no number that is not finite: what could not be divided is null in a file. */
const digits = (value: number | null) => value === null || !Number.isFinite(value) ? "" : finiteDigits(value);
const percent = (share: number) => Number.isFinite(share) ? `${digits(100 * share)} %` : "";
const mebibytes = (bytes: number) => digits(bytes / 2 ** 20);
const giga = (value: number | undefined) => digits((value ?? NaN) / 1e9);
const tera = (value: number | undefined) => digits((value ?? NaN) / 1e12);

/** A section for every stage that was begun. */
export function findings(results: GpuResults): Section[] {
  const { stages } = results;
  const { peaks } = stages.adapter?.results ?? {};
  return [
    section("The adapter", stages.adapter, adapterSection),
    section("Is it right?", stages.tests, testSection),
    section("Golden models", stages.golden, goldenSection),
    section("The model's file", stages.weights, weightSection),
    section("Decoding", stages.decode, (found) => decodeSection(found, peaks)),
    section("Reading prompts", stages.prefill, (found) => prefillSection(found, peaks)),
    section("Where the time goes", stages.profile, profileSection),
    section("Peers on the same card", stages.peers, peerSection),
  ].filter((found) => found !== undefined);
}

function section<Results>(
  title: string,
  stage: StageRecord<Results> | undefined,
  describe: (results: Results) => Omit<Section, "title">,
): Section | undefined {
  if (stage === undefined) return undefined;
  const { status, error, results } = stage;
  const ending = status === "done" ? [] : [`This stage: ${status}${error ? `: ${error.split("\n")[0]}` : ""}`];
  const { notes, tables } = results === undefined ? { notes: [], tables: [] } : describe(results);
  return { title, notes: [...notes, ...ending], tables };
}

function adapterSection({ info, isSoftware, subgroupSize, peaks, overheads, reads }: AdapterResults) {
  const us = (value: number | undefined) => digits(value ?? NaN);
  return {
    notes: [
      `${info.name}${isSoftware ? ", which computes on the CPU" : ""}; subgroups of ${subgroupSize ?? "no fixed size"}`,
      `Reads in GB/s by size: ${
        reads.map(({ bytes, threads, bytesPerSecond }) =>
          `${mebibytes(bytes)} MiB, ${threads} threads: ${giga(bytesPerSecond)}`
        ).join("; ")
      }`,
    ],
    tables: [{
      header: ["measured", "at best"],
      rows: [
        ["reads, GB/s", giga(peaks.readBytesPerSecond)],
        ["f32 multiply-adds, TFLOP/s", tera(peaks.f32OperationsPerSecond)],
        ["f16 multiply-adds, TFLOP/s", tera(peaks.f16OperationsPerSecond)],
        ["int8 dot products, TOP/s", tera(peaks.int8OperationsPerSecond)],
        ["empty dispatch that waits, us", us(overheads.dependentDispatchMicroseconds)],
        ["empty dispatch that does not, us", us(overheads.independentDispatchMicroseconds)],
        ["encoding a dispatch, us", us(overheads.encodeMicrosecondsPerDispatch)],
        ["submit, us", us(overheads.submitMicroseconds)],
        ["readback, ms", us(overheads.readbackMilliseconds)],
      ].filter(([, value]) => value !== ""),
    }],
  };
}

function testSection({ passed, failed, skipped, files, filesRun, failures }: TestResults) {
  return {
    notes: [
      `${passed} tests passed, ${failed} failed, ${skipped} skipped, in ${filesRun} of ${files} files`,
      ...failures.slice(0, MOST_FAILURES).map(({ file, name, message }) =>
        `Failed: ${file}, "${name}": ${message.split("\n")[0]}`
      ),
      ...(failures.length > MOST_FAILURES ? [`and ${failures.length - MOST_FAILURES} more`] : []),
    ],
    tables: [],
  };
}

function goldenSection({ models }: GoldenResults) {
  const differing = models.filter(({ equalTokens, expected }) => equalTokens < expected.length);
  const coarse = models.filter(({ logProbabilityDifference, tolerance }) => !(logProbabilityDifference <= tolerance));
  return {
    notes: [
      `${models.length - differing.length} of ${models.length} models give llama.cpp's greedy tokens, and ` +
      `${models.length - coarse.length} its log-probabilities`,
      ...differing.map(({ name, equalTokens, expected, actual }) =>
        `${name}: token ${equalTokens} is ${actual[equalTokens]}, llama.cpp's is ${expected[equalTokens]}`
      ),
      ...coarse.map(({ name, logProbabilityDifference, tolerance }) =>
        `${name}: a log-probability differs by ${digits(logProbabilityDifference)}, expected at most ${tolerance}`
      ),
    ],
    tables: [],
  };
}

function weightSection({ bytes, writeBytesPerSecond }: WeightResults) {
  return { notes: [`${giga(bytes)} GB, written at ${giga(writeBytesPerSecond)} GB/s`], tables: [] };
}

function decodeSection({ loadSeconds, loadBytesPerSecond, runs }: DecodeResults, peaks: AdapterResults["peaks"] = {}) {
  return {
    notes: [`Loaded in ${digits(loadSeconds)} s, ${giga(loadBytesPerSecond)} GB/s of weights`],
    tables: [{
      header: [
        "streams",
        "prompt",
        "tokens/s",
        "GB/s",
        "of peak",
        "dispatches per step",
        "encoding a step, us",
        "steps per submit",
        "longest wait, ms",
        "longest stall, ms",
      ],
      rows: runs.map((run) => [
        String(run.streams),
        String(run.promptTokens),
        digits(run.tokensPerSecond),
        giga(run.bytesPerSecond),
        percent(run.bytesPerSecond / (peaks.readBytesPerSecond ?? NaN)),
        digits(run.dispatchesPerStep),
        digits(run.encodeMicrosecondsPerStep),
        digits(run.stepsPerSubmit),
        digits(run.longestWaitMilliseconds),
        digits(run.longestStallMilliseconds),
      ]),
    }],
  };
}

function prefillSection({ poolBytes, runs, refusals }: PrefillResults, peaks: AdapterResults["peaks"] = {}) {
  return {
    notes: [
      `The pool has ${mebibytes(poolBytes)} MiB`,
      ...refusals.map(({ policy, promptTokens, reason }) => `${policy}, ${promptTokens} tokens: ${reason}`),
    ],
    tables: [{
      header: [
        "policy",
        "prompt",
        "first token, s",
        "tokens/s",
        "TFLOP/s",
        "of f32 peak",
        "peak, MiB",
        "kept, MiB",
        "fit the pool",
        "then decodes, tokens/s",
      ],
      rows: runs.map((run) => [
        run.policy === "full" ? run.policy : `${run.policy} ${run.budget}`,
        String(run.promptTokens),
        digits(run.firstTokenSeconds),
        digits(run.tokensPerSecond),
        tera(run.operationsPerSecond),
        percent(run.operationsPerSecond / (peaks.f32OperationsPerSecond ?? NaN)),
        mebibytes(run.peakPoolBytes),
        mebibytes(run.finalBytes),
        String(run.sequencesInPool),
        digits(run.decodeTokensPerSecond),
      ]),
    }],
  };
}

function profileSection({ profiles }: ProfileResults) {
  return {
    notes: [],
    tables: profiles.map(({ title, togetherMicroseconds, kernels }) => ({
      header: [title, "dispatches", "us", "GB/s", "GFLOP/s", "of its limit", "limit"],
      rows: [
        ...kernels.map((kernel) => [
          kernel.label,
          String(kernel.dispatches),
          digits(kernel.microseconds),
          kernel.gigabytesPerSecond === undefined ? "" : digits(kernel.gigabytesPerSecond),
          kernel.gflops === undefined ? "" : digits(kernel.gflops),
          percent(kernel.limitMicroseconds / kernel.microseconds),
          kernel.limitedBy,
        ]),
        ["all in one pass", "", digits(togetherMicroseconds), "", "", "", ""],
      ],
    })),
  };
}

function peerSection({ peers }: PeerResults) {
  return {
    notes: peers.map(({ name, status, error, versions }) =>
      `${name}: ${status}${error ? `, ${error.split("\n")[0]}` : ""}${
        versions ? ` (${Object.entries(versions).map((pair) => pair.join(" ")).join(", ")})` : ""
      }`
    ),
    tables: [{
      header: ["engine", "what", "streams", "prompt", "tokens/s"],
      rows: peers.flatMap(({ name, runs }) =>
        runs.map(({ mode, kind, streams, promptTokens, tokensPerSecond }) => [
          `${name}, ${mode}`,
          kind,
          String(streams),
          String(promptTokens),
          digits(tokensPerSecond),
        ])
      ),
    }].filter(({ rows }) => rows.length > 0),
  };
}
