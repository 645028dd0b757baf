/**
 * @file Read-ahead: keeps what the model will need next, not only what it looks at now. The rule, its parts and what each of
 * them is worth are in docs/policies.md.
 */
import { z } from "zod";
import { rankedBudget } from "../../cache/budgets.ts";
import type { ScorerPlugin } from "../../policy/policy.ts";

const options = z.strictObject({
  window: z.int().min(1).max(64).optional()
    .describe(
      "Last rows of the prompt whose queries score the others; they are always kept; where no default is set, 8 or a quarter of the budget, whichever is less",
    ),
  decay: z.number().min(0).max(0.99).default(0.9)
    .describe(
      "What attention to a row counts for the next one, for the one after that its square, and so on for 32 rows",
    ),
  lookups: z.int().min(0).max(64).optional()
    .describe(
      "Best rows of a KV head whose queries look for further rows; where no default is set, 32 or half the budget without the window, whichever is less",
    ),
});

/** Attention of the last queries, and of the queries of the rows they lead to, spread over the rows that follow. */
export const readAheadScorer: ScorerPlugin<typeof options> = {
  name: "readahead",
  apiVersion: 1,
  description:
    "Scores a row by the attention that it and the rows before it get from the last rows of the prompt, and " +
    "from the rows to be read next",
  options,
  // What follows a row is found by its position.
  ranksAgain: false,
  start({ budget }, given) {
    const window = given.window ?? Math.max(1, Math.min(8, Math.floor(budget / 4)));
    const lookups = given.lookups ?? Math.min(32, Math.ceil(rankedBudget(budget, window) / 2));
    return { name: "read-ahead", window, decay: given.decay, lookups };
  },
};
