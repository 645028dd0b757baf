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
 *
 * Within a layer, attention bounds how much a row can change the layer's output only together with the size of values, so heads
 * are compared by attention times their largest value:
 *
 *     s[kvHead][j] = max over the group of  mean over i < window of a_ij  *  max over k of |v_k|,  pooled
 */
import {
  attention,
  defaultWindow,
  defineAllocator,
  definePolicy,
  defineScorer,
  histogramEntropy,
  pool,
  proportionalRows,
  topCounts,
  valueNorm,
  z,
} from "ebb/policy";
import { snapkvScorer } from "./snapkv.ts";

const { window, kernel, pooling } = snapkvScorer.options.shape;
const options = z.strictObject({ window, kernel, pooling });

/** Attention of the last queries times the largest value of the head; defaults as in the published experiments. */
export const lavaScorer = defineScorer({
  name: "lava",
  description:
    "Scores a row by the attention that the last rows of the prompt pay to it, times the largest value of its head",
  options,
  score: ({ budget }, { window = defaultWindow(32, budget), kernel, pooling }) => [
    attention({ window, reduce: "group-maximum" }),
    valueNorm({ by: "head" }),
    pool({ width: kernel, by: pooling }),
  ],
});

/** Layer budgets by entropy, head budgets by the highest scores of the layer. */
export const lavaAllocator = defineAllocator({
  name: "lava",
  description: "Gives a layer the more, the more evenly its scores are spread, and lets its KV heads compete for it",
  perHead: true,
  schedule: ({ base, scoredRows, layerCount, kvHeadCount }) => ({
    provisionalRows: Math.min(base * (layerCount + kvHeadCount), scoredRows),
    interval: 1,
  }),
  allot(layers, { base, layerCount, kvHeadCount }) {
    const budgets = proportionalRows(
      layers.map(({ histogram }) => histogramEntropy(histogram)),
      base * layerCount * kvHeadCount,
      layers.map(({ headRows }) => headRows!.reduce((sum, rows) => sum + rows)),
    );
    return layers.flatMap(({ headHistograms, headRows }, layer) => [
      ...proportionalRows(topCounts(headHistograms!, budgets[layer]), budgets[layer], headRows!),
    ]);
  },
});

/** LAVa, with the defaults of its published experiments. */
export default definePolicy({
  name: "lava",
  description:
    "Lets layers, and the KV heads of each layer, compete for one budget by attention times the size of values",
  scorer: lavaScorer,
  allocator: lavaAllocator,
});
