/**
 * @file Rehearsal: keeps what the model would look up if the same text came again, so that no question has to be known. The rule, its
 * reasons and what it is worth are in docs/policies.md.
 */
import { defaultWindow, definePolicy, defineScorer, rehearsal, z } from "ebb/policy";
import { dynamickvHeadsAllocator } from "./defensive.ts";

const options = z.strictObject({
  window: z.int().min(1).max(65536).optional()
    .describe(
      "Last rows of the prompt, which are always kept; where no default is set, 8 or half the budget, whichever is less",
    ),
});

/** The most that a row is paid by the queries of the rows around it, asked again behind them. */
export const rehearsalScorer = defineScorer({
  name: "rehearsal",
  description: "Scores a row by the most that the rows around it would pay it if the same text came again",
  options,
  score: ({ budget }, { window = defaultWindow(8, budget) }) => [rehearsal({ window })],
});

/**
 * Few heads find things again, and these need most of their rows: none is cut before it has been compared with others. That is done after
 * every layer, so that no more than two are held whole.
 */
export const rehearsalDefaults = { maximumRatio: 1000, interval: 1 };

/** Our own: rows that the text itself finds again, in the heads that find them. */
export default definePolicy({
  name: "rehearsal",
  description: "Keeps what the text would look up if it came again; the KV heads of all layers compete for one budget",
  scorer: rehearsalScorer,
  allocator: dynamickvHeadsAllocator,
  defaults: rehearsalDefaults,
});
