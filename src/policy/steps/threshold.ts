/** @file The modifier `threshold`: what matters too little does not matter at all. */
import type { StepRules } from "./step_rules.ts";

/** Scores, 0 where they are less than `least`. */
export interface Threshold {
  readonly name: "threshold";
  readonly least: number;
}

/** Makes scores below `least` 0. */
export function threshold({ least }: Pick<Threshold, "least">): Threshold {
  return { name: "threshold", least };
}

/** The pure half of {@link threshold}; see scores/row_formulas.ts. */
export const thresholdRules: StepRules<Threshold> = {
  role: "modifier",
  rankingAgain: "works",
  takesNegative: () => true,
  givesNegative: ({ least }, given) => given && least < 0,
  check({ least }) {
    if (Number.isFinite(least)) return;
    throw new RangeError(`The threshold of scores must be a number, but is ${least}`);
  },
};
