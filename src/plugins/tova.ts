/** @file The policy TOVA: see scorers/tova.ts. */
import { uniformAllocator } from "./allocators/uniform.ts";
import { combine } from "../policy/combine.ts";
import { tovaScorer } from "./scorers/tova.ts";

/** TOVA at the end of the prefill, with the defaults of its published experiments. */
export const tova = combine(tovaScorer, uniformAllocator, {
  name: "tova",
  description:
    "Keeps what the last row attends to most, the same rows for all heads and the same number in every layer",
});
