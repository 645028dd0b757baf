/** @file The policy Knorm: see scorers/knorm.ts. */
import { uniformAllocator } from "./allocators/uniform.ts";
import { combine } from "../policy/combine.ts";
import { knormScorer } from "./scorers/knorm.ts";

/** Knorm. Unlike as published, the last rows are always kept. */
export const knorm = combine(knormScorer, uniformAllocator, {
  name: "knorm",
  description: "Keeps the last rows and those with the shortest keys, the same number in every layer",
});
