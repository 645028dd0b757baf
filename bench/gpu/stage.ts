/**
 * @file A stage in a process of its own: `deno run -A bench/gpu/stage.ts '{"stage": ..., ...}'`.
 *
 * Standard output carries a line of JSON with all that is known whenever something is added; standard error is for people.
 */
import type { StageName } from "./results.ts";
import type { Lengths } from "./shapes.ts";

/** What a stage is told. */
export interface StageTask {
  readonly stage: StageName;
  readonly shape: string;
  readonly lengths: Lengths;
  readonly weights: string;
  /** Where the model's file is, or is to be. */
  readonly modelPath: string;
  /** Until the process is ended. */
  readonly seconds: number;
  readonly quick: boolean;
  /** What the adapter stage found, if it did. */
  readonly peaks: Peaks;
}

/** The yardsticks of the kernels. */
export interface Peaks {
  readonly readBytesPerSecond?: number;
  readonly f32OperationsPerSecond?: number;
  readonly dependentDispatchMicroseconds?: number;
}

/** What a stage works with. */
export interface StageContext<Results> {
  readonly task: StageTask;
  /** Says all that is known by now. */
  report(results: Results): void;
  /** A line for people. */
  progress(line: string): void;
  /** Seconds that are left. */
  remaining(): number;
}

type Stage = (context: StageContext<never>) => Promise<void>;

/** Loaded when needed: a stage pays for its own modules alone. */
const STAGE_MODULES: Readonly<Partial<Record<StageName, () => Promise<Stage>>>> = {
  adapter: async () => (await import("./stages/adapter.ts")).measureAdapter,
  golden: async () => (await import("./stages/golden.ts")).compareWithGoldens,
  weights: async () => (await import("./stages/weights.ts")).writeWeights,
  decode: async () => (await import("./stages/decode.ts")).measureDecode,
  prefill: async () => (await import("./stages/prefill.ts")).measurePrefill,
  profile: async () => (await import("./stages/profile.ts")).profileKernels,
};

/**
 * Ends this process when its parent has gone, however that ended, and deletes the model's file in its place: neither a GPU
 * nor gigabytes are to be kept for nobody.
 */
async function endWithParent({ modelPath }: StageTask): Promise<void> {
  const buffer = new Uint8Array(64);
  try {
    while (await Deno.stdin.read(buffer) !== null);
  } finally {
    try {
      if (modelPath) Deno.removeSync(modelPath);
    } catch {
      // It is not there.
    }
    Deno.exit(1);
  }
}

if (import.meta.main) {
  const task: StageTask = JSON.parse(Deno.args[0]);
  const begun = performance.now();
  endWithParent(task);
  const encoder = new TextEncoder();
  const context: StageContext<unknown> = {
    task,
    report: (results) => {
      let bytes = encoder.encode(JSON.stringify({ results }) + "\n");
      while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
    },
    progress: (line) => console.error(line),
    remaining: () => task.seconds - (performance.now() - begun) / 1000,
  };
  try {
    const run = await STAGE_MODULES[task.stage]!();
    await run(context as StageContext<never>);
    Deno.exit(0);
  } catch (error) {
    console.error(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    Deno.exit(1);
  }
}
