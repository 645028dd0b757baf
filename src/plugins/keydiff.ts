/**
 * @file KeyDiff (Park et al., arXiv 2504.15364): rows whose keys point away from the mean direction of all keys tend to draw
 * attention, whatever the query.
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

/** Rows by the angle between their keys and the mean of all unit keys, widest first. */
export const keydiffScorer: ScorerPlugin<typeof options> = {
  name: "keydiff",
  apiVersion: 1,
  description:
    "Scores a row by how much its key differs from the mean direction of all keys, without looking at queries",
  ranksAgain: true,
  options,
  start: ({ budget }, { window }) => ({ name: "key-difference", window: window ?? defaultWindow(8, budget) }),
};
