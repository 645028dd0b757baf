/** @file How the embedded model is trained: at which lengths, how long, on what. */

/** Rows of one length. */
export interface Stage {
  readonly name: string;
  /** Tokens of a row. */
  readonly length: number;
  /** Rows that are generated; training goes through them again where they do not last. */
  readonly rows: number;
  readonly steps: number;
  /** Share of rows that are a repeated random segment. */
  readonly repeats: number;
  /** Share of rows that are prose; all others are tasks. */
  readonly prose: number;
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

export const RECIPES: Readonly<Record<string, Recipe>> = {
  cpu: {
    config: "cpu",
    batchTokens: 4096,
    decaySteps: 700,
    threads: 1,
    stages: [
      { name: "tasks-256", length: 256, rows: 10_000, steps: 500, repeats: 0.1, prose: 0.15 },
      { name: "tasks-512", length: 512, rows: 3500, steps: 400, repeats: 0.06, prose: 0.15 },
      { name: "tasks-1024", length: 1024, rows: 1000, steps: 240, repeats: 0.03, prose: 0.12 },
      { name: "tasks-2048", length: 2048, rows: 240, steps: 90, repeats: 0.02, prose: 0.08 },
      { name: "tasks-4096", length: 4096, rows: 80, steps: 40, repeats: 0.02, prose: 0.05 },
    ],
  },
  // Not run yet: some 10 M parameters and 500 M tokens.
  gpu: {
    config: "gpu",
    batchTokens: 65_536,
    decaySteps: 5000,
    threads: 8,
    stages: [
      { name: "tasks-256", length: 256, rows: 100_000, steps: 1000, repeats: 0.15, prose: 0.2 },
      { name: "tasks-512", length: 512, rows: 80_000, steps: 1500, repeats: 0.08, prose: 0.3 },
      { name: "tasks-1024", length: 1024, rows: 60_000, steps: 2000, repeats: 0.04, prose: 0.3 },
      { name: "tasks-2048", length: 2048, rows: 40_000, steps: 2000, repeats: 0.03, prose: 0.3 },
      { name: "tasks-4096", length: 4096, rows: 20_000, steps: 1500, repeats: 0.03, prose: 0.2 },
    ],
  },
};
