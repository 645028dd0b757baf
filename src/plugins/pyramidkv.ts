/**
 * @file PyramidKV (Cai et al., arXiv 2406.02069): budgets fall from the first layer to the last in equal steps, on the
 * observation that attention narrows with depth.
 */
import { type AllocatorContext, defineAllocator, definePolicy, z } from "ebb/policy";
import { snapkvScorer } from "./snapkv.ts";

const options = z.strictObject({
  beta: z.number().min(1).max(1000).default(20)
    .describe("Mean ranked rows per layer over those of the last layer; 1 gives every layer the same"),
});

/** Budgets that are known before the prompt is read. */
export const pyramidkvAllocator = defineAllocator({
  name: "pyramidkv",
  description: "Gives the first layer the most and every further layer less, in equal steps",
  options,
  schedule: (context, { beta }) => ({
    provisionalRows: pyramidRows(context, beta),
    interval: context.layerCount,
  }),
  allot(layers, context, { beta }) {
    const rows = pyramidRows(context, beta);
    return layers.map(({ heldRows }, layer) => Math.min(heldRows, rows[layer]));
  },
});

/** PyramidKV, with the defaults of its published experiments. */
export default definePolicy({
  name: "pyramidkv",
  description: "Keeps what the end of the prompt attends to most, fewer rows the deeper a layer",
  scorer: snapkvScorer,
  allocator: pyramidkvAllocator,
  defaults: { window: 8 },
});

/**
 * Ranked rows of every layer, `base * layerCount` in all: from `2 base - base / beta` down to `base / beta`, or from all rows
 * there are down to what that leaves. Only the sums from the first layer on are rounded, so no row is lost.
 */
function pyramidRows({ base, scoredRows, layerCount }: AllocatorContext, beta: number): number[] {
  const first = Math.min(2 * base - base / beta, scoredRows);
  const step = layerCount === 1 ? 0 : 2 * (first - base) / (layerCount - 1);
  const before = (layer: number) => layerCount === 1 ? layer * base : layer * first - step * layer * (layer - 1) / 2;
  return Array.from({ length: layerCount }, (_, layer) => Math.round(before(layer + 1)) - Math.round(before(layer)));
}
