/** @file The policy H2O: see scorers/h2o.ts. */
import { uniformAllocator } from "./allocators/uniform.ts";
import { combine } from "../policy/combine.ts";
import { h2oScorer } from "./scorers/h2o.ts";

/** H2O at the end of the prefill, with the defaults of its published experiments. */
export const h2o = combine(h2oScorer, uniformAllocator, {
  name: "h2o",
  description: "Keeps the last rows and those that the whole prompt attends to most, the same number in every layer",
});
