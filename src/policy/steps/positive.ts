/** @file The modifier `positive`: scores that can be negative, made such that cannot. */
import type { StepRules } from "./step_rules.ts";

/** `(s + sqrt(s^2 + 4)) / 2`. */
export interface Positive {
  readonly name: "positive";
}

/** Makes scores that can be negative positive and leaves their order as it is: `(s + sqrt(s^2 + 4)) / 2`. */
export function positive(): Positive {
  return { name: "positive" };
}

/** The pure half of {@link positive}; see scores/row_formulas.ts. */
export const positiveRules: StepRules<Positive> = {
  role: "modifier",
  rankingAgain: "works",
  takesNegative: () => true,
  givesNegative: () => false,
  check: () => {},
};
