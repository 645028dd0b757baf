/**
 * @file TOVA (Oren et al., arXiv 2401.06104) at the end of the prefill: rows matter that the last query attends to, on average
 * over all heads, so that every head keeps the same rows.
 */
import { z } from "zod";
import type { ScorerPlugin } from "../../policy/policy.ts";

const options = z.strictObject({});

/** Attention of the last query, the mean of all heads. */
export const tovaScorer: ScorerPlugin<typeof options> = {
  name: "tova",
  apiVersion: 1,
  description: "Scores a row by the attention that the last row of the prompt pays to it, the same for all heads",
  ranksAgain: true,
  options,
  start: () => ({ name: "observation-window", window: 1, kernel: 1, pooling: "average", sharedByHeads: true }),
};
