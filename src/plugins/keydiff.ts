/**
 * @file KeyDiff (Park et al., arXiv 2504.15364): rows whose keys point away from the mean direction of all keys tend to draw
 * attention, whatever the query.
 */
import { defaultWindow, definePolicy, defineScorer, keyDifference, z } from "ebb/policy";

const options = z.strictObject({
  window: z.int().min(1).max(65536).optional()
    .describe(
      "Last rows of the prompt, which are always kept; where no default is set, 8 or half the budget, whichever is less",
    ),
});

/** Rows by the angle between their keys and the mean of all unit keys, widest first. */
export const keydiffScorer = defineScorer({
  name: "keydiff",
  description:
    "Scores a row by how much its key differs from the mean direction of all keys, without looking at queries",
  options,
  score: ({ budget }, { window = defaultWindow(8, budget) }) => [keyDifference({ window })],
});

/** KeyDiff. Unlike as published, the last rows are always kept. */
export default definePolicy({
  name: "keydiff",
  description: "Keeps the last rows and those with the most unusual keys, the same number in every layer",
  scorer: keydiffScorer,
});
