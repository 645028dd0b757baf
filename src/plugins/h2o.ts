/**
 * @file H2O (Zhang et al., arXiv 2306.14048): rows matter that all rows after them have attended to, the heavy hitters; a part
 * of the budget, usually half, goes to the last rows.
 *
 * The paper drops rows one by one as the prompt is read; here, as in most comparisons, rows are dropped once it has been read,
 * by the attention of the whole prompt. Where rows are evicted while tokens are generated, the sums go on.
 */
import { z } from "zod";
import type { ScorerPlugin } from "../../policy/policy.ts";

const options = z.strictObject({
  recentShare: z.number().min(0).max(1).default(0.5).describe(
    "Share of the budget that the last rows of the prompt get",
  ),
});

/** Attention of all queries. Makes attention about twice as expensive in prefill, see kernels/scoring/attention_sums.ts. */
export const h2oScorer: ScorerPlugin<typeof options> = {
  name: "h2o",
  apiVersion: 1,
  description: "Scores a row by the attention that all rows of the prompt pay to it",
  ranksAgain: true,
  options,
  start({ budget }, { recentShare }) {
    const recent = Math.min(Math.floor(budget * recentShare), budget - 1);
    return { name: "attention-sums", window: Math.max(1, recent) };
  },
};
