/** @file The source `keyDifference`: rows with unusual keys. */
import { checkWindow, type StepRules } from "./step_rules.ts";

/** `1 - cos(key, mean of the unit keys)`. */
export interface KeyDifference {
  readonly name: "keyDifference";
  readonly window: number;
}

/**
 * Scores a row by how far its key points away from the mean direction of all keys: `1 - cos(key, mean of the unit keys)`.
 *
 * @param window last rows, which are always kept
 */
export function keyDifference({ window }: Pick<KeyDifference, "window">): KeyDifference {
  return { name: "keyDifference", window };
}

/** The pure half of {@link keyDifference}. */
export const keyDifferenceRules: StepRules<KeyDifference> = {
  role: "source",
  rankingAgain: "works",
  check: ({ window }, context) => checkWindow(window, context),
};
