/** @file The source `chunkAttention`: what the rows around a row attend to, those behind it as well. */
import { MAX_WINDOW } from "../../scores/limits.ts";
import { attention } from "./attention.ts";
import { checkWindow, type StepRules } from "./step_rules.ts";

/** What a row is paid by all 256 rows of its chunk, itself among them, each of which sees all of these. */
export interface ChunkAttention {
  readonly name: "chunkAttention";
  readonly window: number;
}

/**
 * Scores a row by the attention of the 256 rows around it, whether they stand before or behind it, from logits that are not divided by the
 * root of the head size (Compactor, arXiv 2507.08143). What the rest of the prompt holds changes nothing.
 *
 * @param window last rows, which are always kept
 */
export function chunkAttention({ window }: Pick<ChunkAttention, "window">): ChunkAttention {
  return { name: "chunkAttention", window };
}

/** The pure half of {@link chunkAttention}. */
export const chunkAttentionRules: StepRules<ChunkAttention> = {
  role: "source",
  rankingAgain: "impossible",
  otherwiseGenerated: ({ window }) => attention({ window: Math.min(window, MAX_WINDOW) }),
  check: ({ window }, context) => checkWindow(window, context),
  needs: () => ({ layerQueries: true }),
};
