/**
 * @file Knorm (Devoto et al., arXiv 2406.11430): rows with short keys tend to draw attention, whatever the query.
 */
import { z } from "zod";
import type { ScorerPlugin } from "../../policy/policy.ts";
import { defaultWindow } from "./default_window.ts";

const options = z.strictObject({
  window: z.int().min(1).max(65536).optional()
    .describe(
      "Last rows of the prompt, which are always kept; where no default is set, 8 or half the budget, whichever is less",
    ),
});

/** Rows by the length of their keys, shortest first. */
export const knormScorer: ScorerPlugin<typeof options> = {
  name: "knorm",
  apiVersion: 1,
  description: "Scores a row by how short its key is, without looking at queries",
  ranksAgain: true,
  options,
  start: ({ budget }, { window }) => ({ name: "key-norm", window: window ?? defaultWindow(8, budget) }),
};
