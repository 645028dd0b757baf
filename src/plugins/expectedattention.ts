/**
 * @file Expected Attention (Devoto et al., arXiv 2510.00636): rows matter that the queries to come will attend to, as far as these are
 * like those of the prompt.
 *
 *     q        mean query of the prompt before it is rotated, rotated to the next `ahead` positions and averaged
 *     a[j]     softmax over the rows of  q . k_j / sqrt(headSize)
 *     s[j]     (a[j] + epsilon) * |v_j|
 *
 * What the released code does besides and this does not: it adds the covariance of the queries to the exponent, leaves the first rows out
 * of the mean, takes the mean of the softmax over the query heads of a KV head rather than of their queries, and the norm |v| in its L2
 * form. As there, the first rows, the attention sinks, are kept, and KV heads compete within their layer as in Ada-KV.
 */
import {
  clamp,
  defaultWindow,
  definePolicy,
  defineScorer,
  keyNorm,
  linear,
  meanRotated,
  normalise,
  plus,
  protect,
  valueNorm,
  z,
} from "ebb/policy";
import { adakvAllocator } from "./adakv.ts";

const options = z.strictObject({
  window: z.int().min(1).max(65536).optional()
    .describe(
      "Last rows of the prompt, which are always kept; where no default is set, 8 or half the budget, whichever is less",
    ),
  ahead: z.int().min(1).max(65536).default(512).describe("Positions behind the prompt at which the mean query stands"),
  epsilon: z.number().min(0).max(1).default(0.01)
    .describe("What is added to each row's expected attention, so that a large value counts where little is expected"),
});

/** Rows that are always kept, as in the released code. */
const SINKS = 4;

/** Attention that the mean query of the prompt will pay from the positions behind it, times the size of values. */
export const expectedAttentionScorer = defineScorer({
  name: "expectedattention",
  description:
    "Scores a row by the attention that the mean query of the prompt would pay to it from the positions behind it",
  options,
  score({ budget }, { window = defaultWindow(8, budget), ahead, epsilon }) {
    const one = [keyNorm({ window }), clamp({ least: 1, most: 1 })];
    return [
      linear({
        window,
        coefficients({ mean }, { promptLength, rotary, headSize, kvHeadCount, queryHeadCount }) {
          const later = meanRotated(mean, rotary, promptLength, ahead);
          const group = queryHeadCount / kvHeadCount;
          const vectors = new Float32Array(kvHeadCount * headSize);
          later.forEach((element, i) => {
            const kvHead = Math.floor(i / (group * headSize));
            vectors[kvHead * headSize + i % headSize] += element / (group * Math.sqrt(headSize));
          });
          return { vectors };
        },
      }),
      normalise({ by: "softmax" }),
      plus({ score: one, weight: epsilon }),
      valueNorm({ by: "row" }),
      protect([{ start: 0, end: SINKS }]),
    ];
  },
});

/** Expected Attention, as it is ranked in its authors' own comparison: with Ada-KV's budgets of heads. */
export default definePolicy({
  name: "expectedattention",
  description:
    "Keeps what the mean query of the prompt is likely to attend to next; KV heads compete for their layer's rows",
  scorer: expectedAttentionScorer,
  allocator: adakvAllocator,
});
