/** @file The policy read-ahead: see scorers/read_ahead.ts. */
import { dynamickvAllocator } from "./allocators/dynamickv.ts";
import { combine } from "../policy/combine.ts";
import { readAheadScorer } from "./scorers/read_ahead.ts";

/** Our own: rows that the model is about to need, shared among the layers as DynamicKV does. */
export const readAhead = combine(readAheadScorer, dynamickvAllocator, {
  name: "readahead",
  description: "Keeps what the end of the prompt attends to, what follows it and what it refers to; the layers compete",
});
