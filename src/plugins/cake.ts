/** @file The policy CAKE: see scorers/cake.ts and allocators/cake.ts. */
import { cakeAllocator } from "./allocators/cake.ts";
import { combine } from "../policy/combine.ts";
import { cakeScorer } from "./scorers/cake.ts";

/** CAKE at the end of the prefill, with the defaults of its published experiments. */
export const cake = combine(cakeScorer, cakeAllocator, {
  name: "cake",
  description: "Shares the budget by how attention is spread in each layer, and keeps rows by its mean and variance",
});
