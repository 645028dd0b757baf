/** @file The policy SnapKV: see scorers/snapkv.ts. */
import { uniformAllocator } from "./allocators/uniform.ts";
import { combine } from "../policy/combine.ts";
import { snapkvScorer } from "./scorers/snapkv.ts";

/** SnapKV, with the defaults of its published experiments. */
export const snapkv = combine(snapkvScorer, uniformAllocator, {
  name: "snapkv",
  description: "Keeps what the end of the prompt attends to most, the same number of rows in every layer",
});
