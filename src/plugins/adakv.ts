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
import {
  type AllocatorContext,
  defineAllocator,
  definePolicy,
  type LayerScores,
  proportionalRows,
  topCounts,
  z,
} from "ebb/policy";
import { snapkvScorer } from "./snapkv.ts";

const options = z.strictObject({
  floor: z.number().min(0).max(1).default(0.2)
    .describe("Share of the mean budget without the window that every KV head gets; 1 gives all heads the same"),
});

/** The same for every layer, to be shared among its heads. */
export const adakvAllocator = defineAllocator({
  name: "adakv",
  description: "Gives every layer the same and lets its KV heads compete for it",
  options,
  perHead: true,
  schedule({ base, scoredRows, kvHeadCount }, { floor }) {
    const most = (1 - floor) * Math.min(base * kvHeadCount, scoredRows) + floor * base;
    return { provisionalRows: Math.min(Math.ceil(most), scoredRows), interval: 1 };
  },
  allot: (layers, context, { floor }) => layers.flatMap((layer) => [...headRows(layer, context, floor)]),
});

/** Ada-KV over SnapKV's scores, with the defaults of its published experiments. */
export default definePolicy({
  name: "adakv",
  description:
    "Keeps what the end of the prompt attends to most, the KV heads of each layer competing for the same budget",
  scorer: snapkvScorer,
  allocator: adakvAllocator,
});

function headRows(layer: LayerScores, { base, kvHeadCount }: AllocatorContext, floor: number): Uint32Array {
  const total = base * kvHeadCount;
  const held = layer.headRows!;
  // A layer that has had its share keeps it.
  if (held.reduce((sum, rows) => sum + rows) <= total) return held;
  const counts = topCounts(layer.headHistograms!, total);
  return proportionalRows(counts.map((count) => (1 - floor) * count + floor * base), total, held);
}
