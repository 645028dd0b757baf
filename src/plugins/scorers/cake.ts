/**
 * @file CAKE's scorer (Qin et al., arXiv 2503.12491): rows matter that the end of the prompt attends to, and more so where its
 * rows do not agree on that.
 */
import { z } from "zod";
import type { ScorerPlugin } from "../../policy/policy.ts";
import { defaultWindow } from "./default_window.ts";

const options = z.strictObject({
  window: z.int().min(1).max(64).optional()
    .describe(
      "Last rows of the prompt whose queries score the others; they are always kept; where no default is set, 32 or half the budget, whichever is less",
    ),
  kernel: z.int().min(1).max(63).refine((width) => width % 2 === 1, "must be odd").default(5)
    .describe("Odd width of the pooling of scores along the sequence; 1 pools nothing"),
  gamma: z.number().min(0).max(1e6).default(200)
    .describe("Weight of the variance of attention across the window's rows, beside its mean"),
});

/** Mean plus weighted variance of the attention of the last queries. */
export const cakeScorer: ScorerPlugin<typeof options> = {
  name: "cake",
  apiVersion: 1,
  description: "Scores a row by mean and variance of the attention that the last rows of the prompt pay to it",
  ranksAgain: true,
  options,
  start: ({ budget }, { window, kernel, gamma }) => ({
    name: "observation-window",
    window: window ?? defaultWindow(32, budget),
    kernel,
    pooling: "average",
    varianceWeight: gamma,
  }),
};
