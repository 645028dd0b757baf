/**
 * @file CAKE's allocator (Qin et al., arXiv 2503.12491): layers whose attention is spread wide, or moves between the window's
 * rows, get more. The preference of a layer is
 *
 *     entropy^(1 / tau1) * variance^(1 / tau2)
 *
 * of the attention that the window's rows pay to those before. After every layer the whole budget is shared among the layers
 * so far in proportion to their preferences: a layer's share only falls as others arrive, so that no more than the budget and
 * what has just arrived is ever held.
 *
 * Where the released code shares what a full layer cannot take evenly among the others, here it is shared in proportion.
 */
import { z } from "zod";
import { proportionalRows } from "../../cache/budgets.ts";
import type { AllocatorPlugin, LayerScores } from "../../policy/policy.ts";

const options = z.strictObject({
  tau1: z.number().min(0.1).max(100).default(1).describe("Temperature of the entropy; the higher the less it counts"),
  tau2: z.number().min(0.1).max(100).default(1).describe(
    "Temperature of the variance; the higher the less it counts",
  ),
});

/**
 * The cascade. The published temperatures are tuned to a model and a budget, such as 1.6 and 0.6 for Llama 3.1 at 128 rows; the
 * defaults are the released code's for models that were not tuned.
 */
export const cakeAllocator: AllocatorPlugin<typeof options> = {
  name: "cake",
  apiVersion: 1,
  description: "Gives a layer the more, the wider and the less steadily attention is spread in it",
  options,
  start: ({ base, scoredRows, layerCount }, { tau1, tau2 }) => {
    const total = base * layerCount;
    return {
      exactScores: false,
      attentionStatistics: true,
      provisionalRows: () => Math.min(total, scoredRows),
      isRebalanceDue: () => true,
      allot: (layers) =>
        proportionalRows(
          layers.map((layer) => preference(layer, tau1, tau2)),
          total,
          layers.map(({ heldRows }) => heldRows),
        ),
    };
  },
};

function preference({ statistics }: LayerScores, tau1: number, tau2: number): number {
  if (!statistics) throw new Error("CAKE needs statistics of the layer's attention");
  const preference = statistics.entropy ** (1 / tau1) * statistics.variance ** (1 / tau2);
  if (!Number.isFinite(preference)) {
    throw new RangeError(
      `A layer's attention has an entropy of ${statistics.entropy} and variance of ${statistics.variance}`,
    );
  }
  return preference;
}
