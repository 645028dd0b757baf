/**
 * @file TOVA (Oren et al., arXiv 2401.06104) at the end of the prefill: rows matter that the last query attends to, on average
 * over all heads, so that every head keeps the same rows.
 */
import { attention, definePolicy, defineScorer, sharedByHeads } from "ebb/policy";

/** Attention of the last query, the mean of all heads. */
export const tovaScorer = defineScorer({
  name: "tova",
  description: "Scores a row by the attention that the last row of the prompt pays to it, the same for all heads",
  score: () => [attention({ window: 1 }), sharedByHeads()],
});

/** TOVA at the end of the prefill, with the defaults of its published experiments. */
export default definePolicy({
  name: "tova",
  description:
    "Keeps what the last row attends to most, the same rows for all heads and the same number in every layer",
  scorer: tovaScorer,
});
