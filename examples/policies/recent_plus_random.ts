/**
 * The last rows and random others: as good as the best scorers where models reason at length ("Random Attention", arXiv
 * 2609.03430). The same rows are drawn each time, so that a comparison can be repeated.
 */
import { definePolicy, onHost, z } from "ebb/policy";

export default definePolicy({
  api: 1,
  name: "recent-plus-random",
  description: "Keeps the last rows, and of the others a random sample, another one for each KV head",
  options: z.strictObject({
    recentShare: z.number().min(0).max(1).default(0.25).describe("Share of the budget that the last rows get"),
    seed: z.int().min(0).default(0).describe("Another seed, another sample"),
  }),
  score: ({ budget }, { recentShare, seed }) => [
    onHost({
      window: Math.max(1, Math.min(Math.floor(budget * recentShare), budget - 1)),
      needs: [],
      score: (_rows, { layer, kvHeadCount, scoredRows }) => {
        const random = generator(seed * 1000 + layer);
        return Float32Array.from({ length: kvHeadCount * scoredRows }, random);
      },
    }),
  ],
});

/** mulberry32: numbers in [0, 1). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
