/** @file How the embedded model is trained: at which lengths, how long, on what. */

/** Rows of one length. */
export interface Shard {
  readonly name: string;
  /** Tokens of a row. */
  readonly length: number;
  /** Rows that are generated; training goes through them again where they do not last. */
  readonly rows: number;
  /** Share of rows that are a repeated random segment. */
  readonly repeats: number;
  /** Share of rows that are prose; all others are tasks. */
  readonly prose: number;
}

export interface Stage {
  readonly steps: number;
  /** The steps take these in turn; a shard may stand here several times. */
  readonly shards: readonly Shard[];
}

export interface Recipe {
  /** The sizes of the model, by their name in train.py. */
  readonly config: "cpu" | "gpu";
  readonly batchTokens: number;
  /** The last steps, over which the learning rate falls. */
  readonly decaySteps: number;
  readonly threads: number;
  readonly stages: readonly Stage[];
}

/** Short rows cost least: most of what prose needs is learnt in them, between steps at all lengths of tasks. */
const CPU = {
  mixed256: { name: "mixed-256", length: 256, rows: 10_000, repeats: 0.1, prose: 0.15 },
  mixed512: { name: "mixed-512", length: 512, rows: 3500, repeats: 0.06, prose: 0.15 },
  mixed1024: { name: "mixed-1024", length: 1024, rows: 1000, repeats: 0.03, prose: 0.12 },
  prose512: { name: "prose-512", length: 512, rows: 5000, repeats: 0.03, prose: 0.97 },
  tasks512: { name: "tasks-512", length: 512, rows: 3000, repeats: 0.03, prose: 0 },
  tasks1024: { name: "tasks-1024", length: 1024, rows: 1500, repeats: 0.02, prose: 0 },
  tasks2048: { name: "tasks-2048", length: 2048, rows: 800, repeats: 0.01, prose: 0 },
  // Replies to prompts of 4,096 tokens lie beyond position 4,096.
  tasks4480: { name: "tasks-4480", length: 4480, rows: 900, repeats: 0.01, prose: 0 },
} as const satisfies Record<string, Shard>;

const GPU = {
  mixed256: { name: "mixed-256", length: 256, rows: 100_000, repeats: 0.15, prose: 0.2 },
  prose512: { name: "prose-512", length: 512, rows: 40_000, repeats: 0.03, prose: 0.97 },
  tasks512: { name: "tasks-512", length: 512, rows: 60_000, repeats: 0.08, prose: 0 },
  tasks1024: { name: "tasks-1024", length: 1024, rows: 50_000, repeats: 0.04, prose: 0 },
  tasks2048: { name: "tasks-2048", length: 2048, rows: 40_000, repeats: 0.03, prose: 0 },
  tasks4480: { name: "tasks-4480", length: 4480, rows: 20_000, repeats: 0.03, prose: 0 },
} as const satisfies Record<string, Shard>;

export const RECIPES: Readonly<Record<string, Recipe>> = {
  cpu: {
    config: "cpu",
    batchTokens: 4096,
    decaySteps: 1200,
    threads: 1,
    stages: [
      { steps: 500, shards: [CPU.mixed256] },
      { steps: 400, shards: [CPU.mixed512] },
      { steps: 240, shards: [CPU.mixed1024] },
      {
        steps: 500,
        shards: [
          ...[CPU.prose512, CPU.tasks512, CPU.prose512, CPU.tasks1024],
          ...[CPU.prose512, CPU.tasks2048, CPU.tasks4480],
        ],
      },
      { steps: 900, shards: [CPU.prose512, CPU.tasks1024, CPU.prose512, CPU.tasks2048, CPU.tasks4480] },
      { steps: 300, shards: [CPU.prose512, CPU.tasks1024, CPU.tasks2048, CPU.tasks4480] },
    ],
  },
  // Not run yet: some 10 M parameters and 500 M tokens.
  gpu: {
    config: "gpu",
    batchTokens: 65_536,
    decaySteps: 5000,
    threads: 8,
    stages: [
      { steps: 1000, shards: [GPU.mixed256] },
      {
        steps: 7000,
        shards: [GPU.prose512, GPU.tasks512, GPU.tasks1024, GPU.prose512, GPU.tasks2048, GPU.tasks4480],
      },
    ],
  },
};
