/** @file StreamingLLM (Xiao et al., arXiv 2309.17453): the first rows, the attention sinks, and the last ones. */
import { z } from "zod";
import type { ScorerPlugin } from "../../policy/policy.ts";

const options = z.strictObject({
  sinks: z.int().min(0).max(1024).default(4).describe("First rows of the prompt, which rank before all others"),
});

/** The first rows, then the later the better. Rows keep their positions. */
export const streamingScorer: ScorerPlugin<typeof options> = {
  name: "streaming",
  apiVersion: 1,
  description: "Ranks a prompt's first rows first, then the later a row the higher",
  ranksAgain: false,
  options,
  start: (_, { sinks }) => ({ name: "recency", window: 1, sinks }),
};
