/** @file The modifier `pool`: the neighbours of a row that matters matter too. */
import type { StepRules } from "./step_rules.ts";

/** 1-D pooling of scores along the sequence. */
export interface Pool {
  readonly name: "pool";
  /** Odd; 1 pools nothing. */
  readonly width: number;
  /** `average` counts the zero padding at the ends; `maximum` ignores it. */
  readonly by: "average" | "maximum";
}

/**
 * Pools scores along the sequence, with stride 1.
 *
 * @param width odd number of rows, the row itself in the middle; 1 pools nothing
 * @param by `average` counts the zero padding at the ends; `maximum` ignores it
 */
export function pool({ width, by }: Pick<Pool, "width" | "by">): Pool {
  return { name: "pool", width, by };
}

/** The pure half of {@link pool}. */
export const poolRules: StepRules<Pool> = {
  role: "modifier",
  // Rows in order of rank have no neighbours.
  rankingAgain: "left out",
  isAttention: () => true,
  check({ width, by }) {
    if (!Number.isInteger(width) || width < 1 || width % 2 === 0) {
      throw new RangeError(`The score's pooling must have an odd whole number of rows as its width, but has ${width}`);
    }
    if (by !== "average" && by !== "maximum") {
      throw new RangeError(`The score's pooling must be by "average" or "maximum", but is by "${by}"`);
    }
  },
};
