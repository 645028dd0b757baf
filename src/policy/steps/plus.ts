/** @file The modifier `plus`: what another score says counts as well. */
import type { AnyStep, StepRules } from "./step_rules.ts";

/** The weighted sum of two scores. */
export interface Plus {
  readonly name: "plus";
  readonly score: readonly AnyStep[];
  readonly weight: number;
}

/**
 * Adds `weight` times another score, which begins with a source of the same window.
 *
 * @param weight 1 if not given; a negative one makes scores that can be negative
 */
export function plus<Score extends readonly AnyStep[]>(
  { score, weight = 1 }: { readonly score: Score; readonly weight?: number },
): Plus {
  return { name: "plus", score, weight };
}

/** The pure half of {@link plus}. */
export const plusRules: StepRules<Plus> = {
  role: "modifier",
  rankingAgain: "works",
  takesNegative: () => true,
  isAttention: ({ weight }) => weight >= 0,
  givesNegative: ({ weight }, given) => given || weight < 0,
  nested: ({ score }) => score,
  withNested: (step, score) => ({ ...step, score }),
  check({ weight }) {
    if (Number.isFinite(weight)) return;
    throw new RangeError(`The weight of a score that is added must be a number, but is ${weight}`);
  },
};
