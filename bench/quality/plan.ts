/** @file What `deno task quality` measures, as data: who takes part, and what is asked. */
import type { EvalCompareOptions } from "../../src/cli/flags/measuring.ts";

/** Every policy is asked with every budget; the full cache is always asked too. */
export const CONTENDERS = {
  policies: [
    "streaming",
    "h2o",
    "snapkv",
    "pyramidkv",
    "adakv",
    "cake",
    "lava",
    "dynamickv",
    "readahead",
    "rehearsal",
    "ebbkv",
  ],
  budgets: ["0.9%", "1.7%", "6.9%"],
} as const satisfies Partial<EvalCompareOptions>;

/** A comparison: its results are `bench/results/quality-NAME.json`, its figures `docs/figures/quality-NAME-*.svg`. */
export interface PlannedComparison
  extends
    Pick<EvalCompareOptions, "suite" | "mode" | "lengths" | "samples">,
    Partial<Pick<EvalCompareOptions, "tasks" | "policies" | "budgets" | "seed">> {
  readonly name: string;
  /** A heading, and what is to be seen. */
  readonly title: string;
  readonly about: string;
}

/** Where all policies that look at the prompt's end suffer alike, some are enough. */
const FEWER = {
  policies: ["snapkv", "dynamickv", "keydiff", "defensive", "readahead", "rehearsal", "ebbkv"],
  budgets: ["6.9%", "20%"],
} as const;

export const COMPARISONS: readonly PlannedComparison[] = [
  {
    name: "tasks",
    title: "Nine families of tasks",
    about: "The question stands at the end of the prompt and is compressed with it, as in the papers.",
    suite: "tasks",
    mode: "query-aware",
    lengths: [2048],
    samples: 50,
  },
  {
    name: "needle",
    title: "Needle, by depth and length",
    about: "A fact at every tenth of the document's depth, in documents of three lengths.",
    suite: "tasks",
    tasks: ["needle"],
    mode: "query-aware",
    lengths: [512, 1024, 2048],
    samples: 55,
    policies: ["streaming", "h2o", "snapkv", "pyramidkv", "dynamickv", "readahead", "ebbkv"],
  },
  {
    name: "query-agnostic",
    title: "Compressed before the question is known",
    about: "Only the document is compressed; the question is fed to what is left of it.",
    suite: "tasks",
    mode: "query-agnostic",
    lengths: [2048],
    samples: 12,
    ...FEWER,
  },
  {
    name: "two-turn",
    title: "A second question to the same cache",
    about:
      "The cache was compressed for the first question; once it is answered, a second one is asked about the same " +
      "document.",
    suite: "tasks",
    mode: "two-turn",
    lengths: [2048],
    samples: 8,
    ...FEWER,
  },
  {
    name: "decoding",
    title: "Eviction while tokens are generated",
    about:
      "Document and question are fed as if they had been generated. After every 128 tokens the cache is cut to the " +
      "budget, long before the question is known, so the first token of an answer counts too.",
    suite: "tasks",
    mode: "decoding",
    lengths: [512],
    samples: 22,
    policies: ["h2o", "tova", "snapkv", "dynamickv", "knorm", "keydiff"],
    budgets: ["20%"],
  },
  {
    name: "long-answer",
    title: "A long answer, the prompt left alone",
    about:
      "1,024 tokens of other text are fed as if the answer began with them. After every 128 tokens the generated rows are cut to " +
      "the budget, a share of what is fed; the prompt keeps its rows, as is the default while tokens are generated.",
    suite: "tasks",
    mode: "long-answer",
    lengths: [160],
    samples: 4,
    policies: ["random", "snapkv", "dynamickv", "keydiff", "ebbkv"],
    budgets: ["20%"],
  },
];
