/**
 * Expected Attention (Devoto et al., arXiv 2510.00636), without its covariance: what the prompt's mean query would attend to from
 * the positions that come next. No single query is asked, so that it serves questions which are not in the prompt.
 */
import { definePolicy, linear, meanRotated, normalise, valueNorm, z } from "ebb/policy";

export default definePolicy({
  api: 1,
  name: "expected-attention",
  description: "Keeps what the mean query of the prompt would attend to from the next positions",
  options: z.strictObject({
    ahead: z.int().min(1).max(4096).default(512).describe("Positions behind the prompt that are looked from"),
  }),
  score: ({ budget }, { ahead }) => [
    linear({
      window: Math.max(1, Math.min(4, Math.floor(budget / 2))),
      coefficients({ mean }, { rotary, promptLength, headSize, kvHeadCount, queryHeadCount }) {
        const queries = meanRotated(mean, rotary, promptLength, ahead);
        const group = queryHeadCount / kvHeadCount;
        const vectors = new Float32Array(kvHeadCount * headSize);
        // The mean of the query heads that share a KV head, over the root of the head size, as attention has it.
        queries.forEach((element, i) => {
          const kvHead = Math.floor(i / headSize / group);
          vectors[kvHead * headSize + i % headSize] += element / group / Math.sqrt(headSize);
        });
        return { vectors };
      },
    }),
    normalise({ by: "softmax" }),
    valueNorm({ by: "row" }),
  ],
});
