/**
 * @file What `deno task quality --model FILE` measures, as data: a model that is not ours, on texts that are real where a folder of
 * LongBench's records is named, and on tasks that models of that size can do. Many questions take hours on a CPU, so each comparison has
 * few, the most telling come first, and `--samples` asks for more later.
 */
import type { EvalCompareOptions } from "../../src/cli/flags/measuring.ts";
import type { PlannedComparison } from "./plan.ts";

/** Shares of the prompt as in the paper and beyond, and rows as a server has them. */
const BUDGETS = ["0.9%", "1.7%", "6.9%", "12.5%", "25%", "50%"];
const ROWS = [64, 128, 256];
const POLICIES = ["snapkv", "dynamickv", "readahead", "defensive", "rehearsal", "ebbkv", "keydiff"];

/** A comparison on a real model; those on LongBench need its records. */
export type RealComparison = PlannedComparison & Pick<EvalCompareOptions, "suite">;

/** In the order in which they are run. */
export const REAL_COMPARISONS: readonly RealComparison[] = [
  {
    name: "longbench",
    title: "Real texts: agreement with the full cache's own answers",
    about:
      "LongBench's records, cut in the middle as in the paper; what agrees tells more than scores of a model this small.",
    suite: "longbench",
    tasks: ["qasper", "multifieldqa_en", "lcc", "samsum"],
    mode: "query-aware",
    lengths: [1024],
    samples: 2,
    policies: POLICIES,
    budgets: ["1.7%", "6.9%", "25%"],
  },
  {
    name: "needle",
    title: "Needle and key-value",
    about: "What the full cache of the model can do.",
    suite: "tasks",
    tasks: ["needle", "key-value"],
    mode: "query-aware",
    lengths: [512, 1024],
    samples: 4,
    policies: POLICIES,
    budgets: ["1.7%", "6.9%", "25%"],
  },
  {
    name: "query-agnostic",
    title: "Compressed before the question is known",
    about: "Only the document is compressed; the question is fed to what is left of it.",
    suite: "tasks",
    tasks: ["needle", "single-document-qa", "few-shot"],
    mode: "query-agnostic",
    lengths: [1024],
    samples: 4,
    policies: ["snapkv", "keydiff", "defensive", "rehearsal", "ebbkv", "compactor", "expectedattention", "random"],
    budgets: ["20%", "50%"],
  },
  {
    name: "two-turn",
    title: "A second question to the same cache",
    about: "Compressed for the first question, asked a second one.",
    suite: "tasks",
    tasks: ["needle", "single-document-qa"],
    mode: "two-turn",
    lengths: [1024],
    samples: 4,
    policies: ["snapkv", "keydiff", "readahead", "defensive", "rehearsal", "ebbkv", "compactor"],
    budgets: ["20%", "50%"],
  },
  {
    name: "decoding",
    title: "Eviction while tokens are generated",
    about: "Document and question are fed as if they had been generated.",
    suite: "tasks",
    tasks: ["needle", "single-document-qa"],
    mode: "decoding",
    lengths: [512],
    samples: 4,
    policies: ["snapkv", "dynamickv", "readahead", "keydiff", "random"],
    budgets: ["20%", "50%"],
  },
  {
    name: "budgets",
    title: "All budgets",
    about: "As the first, with every budget.",
    suite: "longbench",
    tasks: ["qasper", "lcc"],
    mode: "query-aware",
    lengths: [512, 2048],
    samples: 1,
    policies: ["dynamickv", "snapkv", "readahead", "ebbkv"],
    budgets: [...BUDGETS, ...ROWS],
  },
];
