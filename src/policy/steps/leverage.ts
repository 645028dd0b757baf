/** @file The source `leverage`: how far a key stands out from the directions of those around it. */
import { MAX_WINDOW } from "../../scores/limits.ts";
import { attention } from "./attention.ts";
import { checkWindow, type StepRules } from "./step_rules.ts";

/** Leverage scores of the keys, before they were rotated, among those of the same 512 rows. */
export interface Leverage {
  readonly name: "leverage";
  readonly window: number;
}

/**
 * Scores a row by the leverage of its key: from 0 for one that the others make up to 1 for one that nothing can replace
 * (Compactor, arXiv 2507.08143).
 *
 * @param window last rows, which are always kept
 */
export function leverage({ window }: Pick<Leverage, "window">): Leverage {
  return { name: "leverage", window };
}

/** The pure half of {@link leverage}. */
export const leverageRules: StepRules<Leverage> = {
  role: "source",
  // Keys are turned back by their positions.
  rankingAgain: "impossible",
  otherwiseGenerated: ({ window }) => attention({ window: Math.min(window, MAX_WINDOW) }),
  check: ({ window }, context) => checkWindow(window, context),
};
