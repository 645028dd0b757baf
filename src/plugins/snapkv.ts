/** @file SnapKV (Li et al., arXiv 2404.14469): rows matter that the end of the prompt attends to. */
import { attention, defaultWindow, definePolicy, defineScorer, pool, valueNorm, z } from "ebb/policy";

const options = z.strictObject({
  window: z.int().min(1).max(64).optional()
    .describe(
      "Last rows of the prompt whose queries score the others; they are always kept; where no default is set, 32 or half the budget, whichever is less",
    ),
  kernel: z.int().min(1).max(63).refine((width) => width % 2 === 1, "must be odd").default(7)
    .describe("Odd width of the pooling of scores along the sequence; 1 pools nothing"),
  pooling: z.enum(["average", "maximum"]).default("maximum").describe("How scores are pooled"),
  valueNorm: z.boolean().default(false)
    .describe("Whether a row's score is multiplied by the mean absolute element of its value before it is pooled"),
});

/** Attention of the last queries, summed and pooled; defaults as in the published experiments. */
export const snapkvScorer = defineScorer({
  name: "snapkv",
  description: "Scores a row by the attention that the last rows of the prompt pay to it, pooled with its neighbours'",
  options,
  score: ({ budget }, { window = defaultWindow(32, budget), kernel, pooling, valueNorm: weighs }) => [
    attention({ window }),
    ...(weighs ? [valueNorm({ by: "row" })] : []),
    pool({ width: kernel, by: pooling }),
  ],
});

/** SnapKV, with the defaults of its published experiments. */
export default definePolicy({
  name: "snapkv",
  description: "Keeps what the end of the prompt attends to most, the same number of rows in every layer",
  scorer: snapkvScorer,
});
