/** @file The policy KeyDiff: see scorers/keydiff.ts. */
import { uniformAllocator } from "./allocators/uniform.ts";
import { combine } from "../policy/combine.ts";
import { keydiffScorer } from "./scorers/keydiff.ts";

/** KeyDiff. Unlike as published, the last rows are always kept. */
export const keydiff = combine(keydiffScorer, uniformAllocator, {
  name: "keydiff",
  description: "Keeps the last rows and those with the most unusual keys, the same number in every layer",
});
