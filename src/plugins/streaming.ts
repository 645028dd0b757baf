/** @file The policy StreamingLLM: see scorers/streaming.ts. */
import { uniformAllocator } from "./allocators/uniform.ts";
import { combine } from "../policy/combine.ts";
import { streamingScorer } from "./scorers/streaming.ts";

/** StreamingLLM at the end of the prefill, with four sinks as published. */
export const streaming = combine(streamingScorer, uniformAllocator, {
  name: "streaming",
  description: "Keeps the first four rows and the last ones, the same number in every layer",
});
