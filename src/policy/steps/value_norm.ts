/** @file The modifier `valueNorm`: attention matters the more, the larger the value that it brings. */
import type { StepRules } from "./step_rules.ts";

/** Scores times the size of values. */
export interface ValueNorm {
  readonly name: "valueNorm";
  /**
   * Mean absolute element of the row's own value, or of the row of its head where it is largest, which makes heads comparable (LAVa);
   * or the share that the row's value has of those of all KV heads in that row (DefensiveKV).
   */
  readonly by: "row" | "head" | "share";
}

/**
 * Multiplies scores by the mean absolute element of a value.
 *
 * @param by the value of the `row` itself, the largest of its `head`, or the row's own over the sum of all KV heads, its `share`
 */
export function valueNorm({ by }: Pick<ValueNorm, "by">): ValueNorm {
  return { name: "valueNorm", by };
}

/** The pure half of {@link valueNorm}. */
export const valueNormRules: StepRules<ValueNorm> = {
  role: "modifier",
  rankingAgain: "works",
  check({ by }) {
    if (by !== "row" && by !== "head" && by !== "share") {
      throw new RangeError(`The score's value norm must be by "row", "head" or "share", but is by "${by}"`);
    }
  },
};
