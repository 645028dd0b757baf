/** @file The modifier `times`: what two scores agree on. */
import type { AnyStep, StepRules } from "./step_rules.ts";

/** The product of two scores. */
export interface Times {
  readonly name: "times";
  readonly score: readonly AnyStep[];
}

/** Multiplies by another score, which begins with a source of the same window. */
export function times<Score extends readonly AnyStep[]>({ score }: { readonly score: Score }): Times {
  return { name: "times", score };
}

/** The pure half of {@link times}. */
export const timesRules: StepRules<Times> = {
  role: "modifier",
  rankingAgain: "works",
  takesNegative: () => true,
  nested: ({ score }) => score,
  withNested: (step, score) => ({ ...step, score }),
  check: () => {},
};
