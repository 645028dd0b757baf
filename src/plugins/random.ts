/**
 * @file Rows by lot, each KV head its own: what a policy must beat to be worth its while. While tokens are generated that is hard: there
 * random rows were found to serve as well as the strongest scores (Random Attention, arXiv 2609.03430).
 */
import { defaultWindow, definePolicy, defineScorer, random, z } from "ebb/policy";

const options = z.strictObject({
  window: z.int().min(1).max(65536).optional()
    .describe(
      "Last rows of the prompt, which are always kept; where no default is set, 8 or half the budget, whichever is less",
    ),
  seed: z.int().min(0).max(2 ** 32 - 1).default(0).describe("Another seed, other rows"),
});

/** Rows by lot. */
export const randomScorer = defineScorer({
  name: "random",
  description: "Scores rows by lot, whatever they hold, each KV head by lots of its own",
  options,
  score: ({ budget }, { window = defaultWindow(8, budget), seed }) => [random({ window, seed })],
});

/** Rows by lot, of every layer the same number. */
export default definePolicy({
  name: "random",
  description: "Keeps the last rows and others by lot, each KV head its own, the same number in every layer",
  scorer: randomScorer,
});
