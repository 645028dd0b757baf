/** @file The modifier `normalise`: scores that can be compared with others. */
import type { StepRules } from "./step_rules.ts";

/** The scores of each KV head over what all of them come to. */
export interface Normalise {
  readonly name: "normalise";
  readonly by: "z-score" | "sum" | "softmax";
}

const WAYS: readonly unknown[] = ["z-score", "sum", "softmax"];

/**
 * Normalises the scores of each KV head over its rows.
 *
 * @param by `z-score`: less the mean, over the standard deviation, which can be negative; `sum`: the share of the sum; `softmax`:
 * the share of the sum of exponentials
 */
export function normalise({ by }: Pick<Normalise, "by">): Normalise {
  return { name: "normalise", by };
}

/** The pure half of {@link normalise}; see scores/row_formulas.ts. */
export const normaliseRules: StepRules<Normalise> = {
  role: "modifier",
  rankingAgain: "works",
  takesNegative: ({ by }) => by !== "sum",
  givesNegative: ({ by }) => by === "z-score",
  check({ by }) {
    if (WAYS.includes(by)) return;
    throw new RangeError(
      `Scores must be normalised by ${WAYS.map((way) => `"${way}"`).join(", ")}, but are by "${by}"`,
    );
  },
};
