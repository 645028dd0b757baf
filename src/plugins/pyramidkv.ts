/** @file The policy PyramidKV: see allocators/pyramidkv.ts. */
import { pyramidkvAllocator } from "./allocators/pyramidkv.ts";
import { combine } from "../policy/combine.ts";
import { snapkvScorer } from "./scorers/snapkv.ts";

/** PyramidKV, with the defaults of its published experiments. */
export const pyramidkv = combine(snapkvScorer, pyramidkvAllocator, {
  name: "pyramidkv",
  description: "Keeps what the end of the prompt attends to most, fewer rows the deeper a layer",
  defaults: { window: 8 },
});
