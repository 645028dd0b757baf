/** @file The policy Ada-KV: see allocators/adakv.ts. */
import { adakvAllocator } from "./allocators/adakv.ts";
import { combine } from "../policy/combine.ts";
import { snapkvScorer } from "./scorers/snapkv.ts";

/** Ada-KV over SnapKV's scores, with the defaults of its published experiments. */
export const adakv = combine(snapkvScorer, adakvAllocator, {
  name: "adakv",
  description:
    "Keeps what the end of the prompt attends to most, the KV heads of each layer competing for the same budget",
});
