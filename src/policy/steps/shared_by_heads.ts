/** @file The modifier `sharedByHeads`: all KV heads keep the same rows. */
import type { StepRules } from "./step_rules.ts";

/** The mean of all KV heads' scores, for each of them. */
export interface SharedByHeads {
  readonly name: "sharedByHeads";
}

/** Gives all KV heads of a layer the mean of their scores, so that they keep the same rows. Without it each ranks its own. */
export function sharedByHeads(): SharedByHeads {
  return { name: "sharedByHeads" };
}

/** The pure half of {@link sharedByHeads}. */
export const sharedByHeadsRules: StepRules<SharedByHeads> = {
  role: "modifier",
  rankingAgain: "works",
  isAttention: () => true,
  check: () => {},
};
