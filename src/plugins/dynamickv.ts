/** @file The policy DynamicKV: see allocators/dynamickv.ts. */
import { dynamickvAllocator } from "./allocators/dynamickv.ts";
import { combine } from "../policy/combine.ts";
import { snapkvScorer } from "./scorers/snapkv.ts";

/** DynamicKV, with the window and pooling of its published experiments. */
export const dynamickv = combine(snapkvScorer, dynamickvAllocator, {
  name: "dynamickv",
  description: "Lets the layers compete for one budget by what the end of the prompt attends to",
  defaults: { window: 8, pooling: "average" },
});
