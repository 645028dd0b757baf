/**
 * @file LAVa (Shen et al., arXiv 2509.09754): layers compete for the model's budget by how evenly their scores are spread, and
 * the KV heads of a layer for what it gets.
 *
 *     weight of a layer     entropy of its scores, normalised to 1 over all its heads and rows
 *     budget of a layer     in proportion to its weight, among the layers seen so far
 *     rows of a head        how many of the layer's highest scores, as many as its budget, are the head's
 *
 * After every layer the whole budget is shared again, so that a layer's share only falls. The paper divides entropies by that
 * of even scores, which is the same for all layers and cancels.
 *
 * Counts and entropies come from histograms, where the released code sorts, and nothing is lost to rounding down. The released
 * code starts with all the rows of a layer; here a head starts with `base * (layerCount + kvHeadCount)` at most, as memory has
 * to be kept free for what it starts with. A head that wins more would win more than a whole layer's mean budget from the heads
 * of its own layer and more than the mean of the whole model from the other layers.
 */
import { z } from "zod";
import { proportionalRows } from "../../cache/budgets.ts";
import { histogramEntropy } from "../../scores/score_histogram.ts";
import { topCounts } from "../../scores/top_counts.ts";
import type { AllocatorPlugin } from "../../policy/policy.ts";

const options = z.strictObject({});

/** Layer budgets by entropy, head budgets by the highest scores of the layer. */
export const lavaAllocator: AllocatorPlugin<typeof options> = {
  name: "lava",
  apiVersion: 1,
  description: "Gives a layer the more, the more evenly its scores are spread, and lets its KV heads compete for it",
  options,
  perHead: true,
  start: ({ base, scoredRows, layerCount, kvHeadCount }) => ({
    exactScores: false,
    provisionalRows: () => Math.min(base * (layerCount + kvHeadCount), scoredRows),
    isRebalanceDue: () => true,
    allot(layers) {
      const budgets = proportionalRows(
        layers.map(({ histogram }) => histogramEntropy(histogram)),
        base * layerCount * kvHeadCount,
        layers.map(({ headRows }) => headRows!.reduce((sum, rows) => sum + rows)),
      );
      return Uint32Array.from(layers.flatMap(({ headHistograms, headRows }, layer) => [
        ...proportionalRows(topCounts(headHistograms!, budgets[layer]), budgets[layer], headRows!),
      ]));
    },
  }),
};
