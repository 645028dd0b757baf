/** @file The modifier `floorAtMean`: no row matters less than the mean. */
import type { StepRules } from "./step_rules.ts";

/** Scores of each KV head, the mean where they are less. */
export interface FloorAtMean {
  readonly name: "floorAtMean";
}

/** Lifts scores below the mean of their KV head to it. */
export function floorAtMean(): FloorAtMean {
  return { name: "floorAtMean" };
}

/** The pure half of {@link floorAtMean}; see scores/row_formulas.ts. */
export const floorAtMeanRules: StepRules<FloorAtMean> = {
  role: "modifier",
  rankingAgain: "works",
  takesNegative: () => true,
  check: () => {},
};
