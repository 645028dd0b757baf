/** @file The source `attentionOfAll`: what the whole prompt attends to. */
import { checkWindow, type StepRules } from "./step_rules.ts";

/** Attention that all queries of the prompt pay to a row, mean of the query heads of its KV head, over the prompt's length. */
export interface AttentionOfAll {
  readonly name: "attentionOfAll";
  readonly window: number;
}

/**
 * Scores a row by the attention that all rows of the prompt pay to it. Makes attention about half as expensive again while a
 * prompt is read. Where rows are evicted while tokens are generated, the sums go on.
 *
 * @param window last rows, which are always kept
 */
export function attentionOfAll({ window }: Pick<AttentionOfAll, "window">): AttentionOfAll {
  return { name: "attentionOfAll", window };
}

/** The pure half of {@link attentionOfAll}. */
export const attentionOfAllRules: StepRules<AttentionOfAll> = {
  role: "source",
  rankingAgain: "works",
  isAttention: () => true,
  check: ({ window }, context) => checkWindow(window, context),
  needs: () => ({ attentionSums: true }),
};
