/** @file The source `keyNorm`: rows with short keys. */
import { checkWindow, type StepRules } from "./step_rules.ts";

/** `1 / (1 + |key|)`. */
export interface KeyNorm {
  readonly name: "keyNorm";
  readonly window: number;
}

/**
 * Scores a row the higher, the shorter its key: `1 / (1 + |key|)`.
 *
 * @param window last rows, which are always kept
 */
export function keyNorm({ window }: Pick<KeyNorm, "window">): KeyNorm {
  return { name: "keyNorm", window };
}

/** The pure half of {@link keyNorm}. */
export const keyNormRules: StepRules<KeyNorm> = {
  role: "source",
  rankingAgain: "works",
  check: ({ window }, context) => checkWindow(window, context),
};
