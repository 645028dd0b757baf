/** An allocator: the first and the last layers get more than those between, which are often said to repeat each other. */
import { defineAllocator, definePolicy, proportionalRows, z } from "ebb/policy";

const allocator = defineAllocator({
  api: 1,
  name: "first-and-last-layers",
  description: "Gives the first and the last layers more rows than those between",
  options: z.strictObject({
    times: z.number().min(1).max(10).default(2).describe(
      "Rows of an outer layer, as a multiple of those of an inner one",
    ),
    outer: z.int().min(1).max(16).default(2).describe("Layers at either end that get more"),
  }),
  // All is known beforehand: a layer gets at once what it will keep.
  schedule({ base, scoredRows, layerCount }, { times, outer }) {
    const weights = Array.from(
      { length: layerCount },
      (_, layer) => layer < outer || layer >= layerCount - outer ? times : 1,
    );
    const rows = proportionalRows(weights, base * layerCount, weights.map(() => scoredRows));
    return { provisionalRows: [...rows], interval: layerCount };
  },
  allot: (layers) => layers.map(({ heldRows }) => heldRows),
});

export default definePolicy({
  api: 1,
  name: "first-and-last-layers",
  description: "Keeps what the end of the prompt attends to, more of it in the first and the last layers",
  scorer: "snapkv",
  allocator,
});
