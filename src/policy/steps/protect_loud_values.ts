/**
 * @file The modifier `protectLoudValues`: rows whose values are far larger than the others of their head. Models that lose them while they
 * generate were seen to repeat themselves for ever (VaSE, arXiv 2606.03928).
 */
import type { StepRules } from "./step_rules.ts";

/** Rows with very large values, which rank before all others. */
export interface ProtectLoudValues {
  readonly name: "protectLoudValues";
  /** How many times the mean norm of its head's rows a value's norm must be more than. */
  readonly times: number;
}

/**
 * Ranks rows with very large values before all others. Of no head can these be more than one row in `times`.
 *
 * @param times how many times the mean of its head a row's mean absolute element must be more than: more than 1; 4 if not given
 */
export function protectLoudValues({ times = 4 }: Partial<ProtectLoudValues> = {}): ProtectLoudValues {
  return { name: "protectLoudValues", times };
}

/** The pure half of {@link protectLoudValues}. */
export const protectLoudValuesRules: StepRules<ProtectLoudValues> = {
  role: "modifier",
  rankingAgain: "works",
  check({ times }) {
    if (times > 1 && times < Infinity) return;
    throw new RangeError(`Loud values must be more than a number above 1 times the mean, but the number is ${times}`);
  },
};
