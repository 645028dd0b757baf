/** @file What `deno task bench gpu` finds out, and the file that holds it at every moment. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import type { KvCacheChoice } from "../../src/contract/generation.ts";
import { formatReport, type Report } from "../../src/eval/report.ts";
import type { Lengths } from "./shapes.ts";

/** In the order in which they run: what is worth most comes first. */
export const STAGES = ["adapter", "tests", "golden", "weights", "decode", "prefill", "profile", "peers"] as const;
export type StageName = typeof STAGES[number];

/** How a stage ended, and what it had found out by then. */
export interface StageRecord<Results> {
  readonly status: "running" | "done" | "failed" | "out of time" | "interrupted";
  readonly seconds: number;
  /** Why it did not end well. */
  readonly error?: string;
  readonly results?: Results;
}

export interface GpuResults {
  /** The card's name, as its driver gives it. */
  readonly adapter: string;
  /** What `nvidia-smi` says, where there is one. */
  readonly card?: string;
  readonly shape: string;
  readonly weights: string;
  readonly lengths: Lengths;
  readonly minutes: number;
  readonly stages: {
    readonly adapter?: StageRecord<AdapterResults>;
    readonly tests?: StageRecord<TestResults>;
    readonly golden?: StageRecord<GoldenResults>;
    readonly weights?: StageRecord<WeightResults>;
    readonly decode?: StageRecord<DecodeResults>;
    readonly prefill?: StageRecord<PrefillResults>;
    readonly profile?: StageRecord<ProfileResults>;
    readonly peers?: StageRecord<PeerResults>;
  };
}

/** What the adapter is and can do at most. */
export interface AdapterResults {
  readonly info: Readonly<Record<string, string | number | boolean>>;
  readonly isSoftware: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  /** Threads of a subgroup, where kernels may rely on it. */
  readonly subgroupSize: number | null;
  /** Bytes per second that a kernel reads from a buffer of so many bytes. */
  readonly reads: readonly { readonly bytes: number; readonly threads: number; readonly bytesPerSecond: number }[];
  readonly peaks: {
    /** From buffers that no cache holds. */
    readonly readBytesPerSecond?: number;
    readonly f32OperationsPerSecond?: number;
    readonly f16OperationsPerSecond?: number;
    /** Multiplications and additions of `dot4I8Packed`. */
    readonly int8OperationsPerSecond?: number;
  };
  readonly overheads: {
    /** Of an empty dispatch in a pass that waits for the one before. */
    readonly dependentDispatchMicroseconds?: number;
    /** Of one that does not. */
    readonly independentDispatchMicroseconds?: number;
    readonly encodeMicrosecondsPerDispatch?: number;
    readonly submitMicroseconds?: number;
    readonly readbackMilliseconds?: number;
  };
}

export interface TestResults {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly files: number;
  readonly filesRun: number;
  readonly failures: readonly { readonly file: string; readonly name: string; readonly message: string }[];
}

export interface GoldenResults {
  readonly models: readonly {
    readonly name: string;
    readonly expected: readonly number[];
    readonly actual: readonly number[];
    /** Tokens before the first that differs. */
    readonly equalTokens: number;
    /** The largest difference from llama.cpp's log-probabilities, and what may be. */
    readonly logProbabilityDifference: number;
    readonly tolerance: number;
  }[];
}

export interface WeightResults {
  readonly path: string;
  readonly bytes: number;
  readonly writeBytesPerSecond: number;
}

export interface DecodeResults {
  readonly loadSeconds: number;
  readonly loadBytesPerSecond: number;
  readonly gpuBytes: number;
  /** Most streams that the memory had room for. */
  readonly maxBatch: number;
  readonly runs: readonly DecodeRun[];
}

export interface DecodeRun {
  readonly streams: number;
  readonly promptTokens: number;
  readonly tokensPerStream: number;
  /** Of all streams together, from the moment when all decode. */
  readonly tokensPerSecond: number;
  /** Weights, keys and values that the steps read. */
  readonly bytesPerSecond: number;
  readonly dispatchesPerStep: number;
  readonly encodeMicrosecondsPerStep: number;
  readonly stepsPerSubmit: number;
  /** The longest wait for a stream's next tokens. */
  readonly longestWaitMilliseconds: number;
  /** The longest time that the thread which serves HTTP could not run a timer. */
  readonly longestStallMilliseconds: number;
}

export interface PrefillResults {
  readonly loadSeconds: number;
  readonly poolBytes: number;
  readonly runs: readonly PrefillRun[];
  /** What could not be run, and why. */
  readonly refusals: readonly { readonly policy: string; readonly promptTokens: number; readonly reason: string }[];
}

export interface PrefillRun {
  readonly policy: string;
  readonly budget: KvCacheChoice["budget"];
  readonly promptTokens: number;
  readonly firstTokenSeconds: number;
  readonly tokensPerSecond: number;
  readonly operationsPerSecond: number;
  /** Of the pool's blocks, in use at once, as seen every few milliseconds. */
  readonly peakPoolBytes: number;
  readonly finalBytes: number;
  /** Sequences of this kind that the pool holds once they are read. */
  readonly sequencesInPool: number;
  readonly decodeTokensPerSecond: number;
}

export interface ProfileResults {
  /** Nanoseconds of a tick of the adapter's clock. */
  readonly nanosecondsPerTick: number;
  readonly profiles: readonly Profile[];
}

/** One decode step, or one prefill tile through one layer. */
export interface Profile {
  readonly title: string;
  /** As the engine runs it: all in one pass. */
  readonly togetherMicroseconds: number;
  readonly kernels: readonly KernelProfile[];
}

export interface KernelProfile {
  readonly label: string;
  readonly dispatches: number;
  /** Of all its dispatches, each in a pass of its own. */
  readonly microseconds: number;
  readonly gigabytesPerSecond?: number;
  readonly gflops?: number;
  /** The least time that the adapter's peaks allow, and which of them. */
  readonly limitMicroseconds: number;
  readonly limitedBy: "reads" | "arithmetic" | "dispatch";
}

export interface PeerResults {
  readonly peers: readonly {
    readonly name: string;
    readonly status: "done" | "failed" | "out of time" | "missing";
    readonly error?: string;
    readonly versions?: Readonly<Record<string, string>>;
    readonly runs: readonly PeerRun[];
  }[];
}

export interface PeerRun {
  /** Such as "compiled". */
  readonly mode: string;
  readonly kind: "decode" | "prefill";
  readonly streams: number;
  readonly promptTokens: number;
  readonly tokensPerSecond: number;
}

/** Keeps `DIRECTORY/gpu.json`: every write replaces the whole file at once, so that it is valid whatever happens. */
export class ResultFile {
  readonly path: string;
  #pending: Promise<void> = Promise.resolve();

  constructor(readonly directory: string) {
    this.path = `${directory}/gpu.json`;
  }

  write(report: Report<GpuResults>): Promise<void> {
    const content = formatReport(report);
    return this.#pending = this.#pending.catch(() => {}).then(async () => {
      await mkdir(this.directory, { recursive: true });
      await writeFile(`${this.path}.new`, content);
      await rename(`${this.path}.new`, this.path);
    });
  }
}
