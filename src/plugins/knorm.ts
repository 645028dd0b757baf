/**
 * @file Knorm (Devoto et al., arXiv 2406.11430): rows with short keys tend to draw attention, whatever the query.
 */
import { defaultWindow, definePolicy, defineScorer, keyNorm, z } from "ebb/policy";

const options = z.strictObject({
  window: z.int().min(1).max(65536).optional()
    .describe(
      "Last rows of the prompt, which are always kept; where no default is set, 8 or half the budget, whichever is less",
    ),
});

/** Rows by the length of their keys, shortest first. */
export const knormScorer = defineScorer({
  name: "knorm",
  description: "Scores a row by how short its key is, without looking at queries",
  options,
  score: ({ budget }, { window = defaultWindow(8, budget) }) => [keyNorm({ window })],
});

/** Knorm. Unlike as published, the last rows are always kept. */
export default definePolicy({
  name: "knorm",
  description: "Keeps the last rows and those with the shortest keys, the same number in every layer",
  scorer: knormScorer,
});
