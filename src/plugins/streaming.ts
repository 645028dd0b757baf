/** @file StreamingLLM (Xiao et al., arXiv 2309.17453): the first rows, the attention sinks, and the last ones. */
import { definePolicy, defineScorer, recency, z } from "ebb/policy";

const options = z.strictObject({
  sinks: z.int().min(0).max(1024).default(4).describe("First rows of the prompt, which rank before all others"),
});

/** The first rows, then the later the better. Rows keep their positions. */
export const streamingScorer = defineScorer({
  name: "streaming",
  description: "Ranks a prompt's first rows first, then the later a row the higher",
  options,
  score: (_context, { sinks }) => [recency({ window: 1, sinks })],
});

/** StreamingLLM at the end of the prefill, with four sinks as published. */
export default definePolicy({
  name: "streaming",
  description: "Keeps the first four rows and the last ones, the same number in every layer",
  scorer: streamingScorer,
});
