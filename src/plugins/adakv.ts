/**
 * @file Ada-KV (Feng et al., arXiv 2407.11550): every layer gets the same, and its KV heads compete for it. With the highest
 * `base * kvHeadCount` scores of a layer counted by head, a head gets
 *
 *     (1 - floor) * count + floor * base
 *
 * rows, so that heads whose attention is spread wide get more, and none gets less than `floor` of the mean.
 *
 * Where the released code sorts the scores of each layer and rounds every head on its own, here counts come from histograms,
 * and the rounded rows of a layer always add up to its budget.
 */
import { z } from "zod";
import { proportionalRows } from "../../cache/budgets.ts";
import { topCounts } from "../../scores/top_counts.ts";
import type { AllocatorContext, AllocatorPlugin, LayerScores } from "../../policy/policy.ts";

const options = z.strictObject({
  floor: z.number().min(0).max(1).default(0.2)
    .describe("Share of the mean budget without the window that every KV head gets; 1 gives all heads the same"),
});

/** The same for every layer, to be shared among its heads. */
export const adakvAllocator: AllocatorPlugin<typeof options> = {
  name: "adakv",
  apiVersion: 1,
  description: "Gives every layer the same and lets its KV heads compete for it",
  options,
  perHead: true,
  start(context, { floor }) {
    const { base, scoredRows, kvHeadCount } = context;
    const most = (1 - floor) * Math.min(base * kvHeadCount, scoredRows) + floor * base;
    return {
      exactScores: false,
      provisionalRows: () => Math.min(Math.ceil(most), scoredRows),
      isRebalanceDue: () => true,
      allot: (layers) => Uint32Array.from(layers.flatMap((layer) => [...headRows(layer, context, floor)])),
    };
  },
};

function headRows(layer: LayerScores, { base, kvHeadCount }: AllocatorContext, floor: number): Uint32Array {
  const total = base * kvHeadCount;
  const held = layer.headRows!;
  // A layer that has had its share keeps it.
  if (held.reduce((sum, rows) => sum + rows) <= total) return held;
  const counts = topCounts(layer.headHistograms!, total);
  return proportionalRows(counts.map((count) => (1 - floor) * count + floor * base), total, held);
}
