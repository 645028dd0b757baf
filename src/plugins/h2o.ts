/**
 * @file H2O (Zhang et al., arXiv 2306.14048): rows matter that all rows after them have attended to, the heavy hitters; a part
 * of the budget, usually half, goes to the last rows.
 *
 * The paper drops rows one by one as the prompt is read; here, as in most comparisons, rows are dropped once it has been read,
 * by the attention of the whole prompt. Where rows are evicted while tokens are generated, the sums go on.
 */
import { attentionOfAll, definePolicy, defineScorer, z } from "ebb/policy";

const options = z.strictObject({
  recentShare: z.number().min(0).max(1).default(0.5).describe(
    "Share of the budget that the last rows of the prompt get",
  ),
});

/** Attention of all queries. */
export const h2oScorer = defineScorer({
  name: "h2o",
  description: "Scores a row by the attention that all rows of the prompt pay to it",
  options,
  score({ budget }, { recentShare }) {
    const recent = Math.min(Math.floor(budget * recentShare), budget - 1);
    return [attentionOfAll({ window: Math.max(1, recent) })];
  },
});

/** H2O at the end of the prefill, with the defaults of its published experiments. */
export default definePolicy({
  name: "h2o",
  description: "Keeps the last rows and those that the whole prompt attends to most, the same number in every layer",
  scorer: h2oScorer,
});
