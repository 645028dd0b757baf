/** @file The policy LAVa: see scorers/lava.ts and allocators/lava.ts. */
import { lavaAllocator } from "./allocators/lava.ts";
import { combine } from "../policy/combine.ts";
import { lavaScorer } from "./scorers/lava.ts";

/** LAVa, with the defaults of its published experiments. */
export const lava = combine(lavaScorer, lavaAllocator, {
  name: "lava",
  description:
    "Lets layers, and the KV heads of each layer, compete for one budget by attention times the size of values",
});
