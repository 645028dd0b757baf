/**
 * @file Read-ahead: keeps what the model will need next, not only what it looks at now. The rule, its parts and what each of
 * them is worth are in docs/policies.md.
 */
import { attention, definePolicy, defineScorer, lookUp, rankedBudget, readAhead, z } from "ebb/policy";
import { dynamickvAllocator } from "./dynamickv.ts";

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

/** Rows at the end whose queries are asked, where no option says how many. */
export function readaheadWindow(budget: number): number {
  return Math.max(1, Math.min(8, Math.floor(budget / 4)));
}

/** Attention of the last queries, and of the queries of the rows they lead to, spread over the rows that follow. */
export const readaheadScorer = defineScorer({
  name: "readahead",
  description:
    "Scores a row by the attention that it and the rows before it get from the last rows of the prompt, and " +
    "from the rows to be read next",
  options,
  score({ budget }, { decay, ...given }) {
    const window = given.window ?? readaheadWindow(budget);
    const best = given.lookups ?? Math.min(32, Math.ceil(rankedBudget(budget, window) / 2));
    return [attention({ window }), lookUp({ best, decay }), readAhead({ decay })];
  },
});

/** Our own: rows that the model is about to need, shared among the layers as DynamicKV does. */
export default definePolicy({
  name: "readahead",
  description: "Keeps what the end of the prompt attends to, what follows it and what it refers to; the layers compete",
  scorer: readaheadScorer,
  allocator: dynamickvAllocator,
});
