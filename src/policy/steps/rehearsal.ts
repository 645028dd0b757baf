/** @file The source `rehearsal`: what the prompt would look up if it were read a second time. */
import { MAX_WINDOW } from "../../scores/limits.ts";
import { attention } from "./attention.ts";
import { checkWindow, type StepRules } from "./step_rules.ts";

/** The most that a row is paid by any of the queries of its chunk, were these asked again behind its end. */
export interface Rehearsal {
  readonly name: "rehearsal";
  readonly window: number;
}

/**
 * Scores a row by the most that any query of the 512 rows around it would pay it if the same text came again: each query is turned to a
 * position behind these rows, and looks at all of them and at what it saw the first time. Heads that look at what is near look there
 * again, so that little is left of their scores; heads that find again what stood before find it here.
 *
 * @param window last rows, which are always kept
 */
export function rehearsal({ window }: Pick<Rehearsal, "window">): Rehearsal {
  return { name: "rehearsal", window };
}

/** The pure half of {@link rehearsal}. */
export const rehearsalRules: StepRules<Rehearsal> = {
  role: "source",
  rankingAgain: "impossible",
  otherwiseGenerated: ({ window }) => attention({ window: Math.min(window, MAX_WINDOW) }),
  check: ({ window }, context) => checkWindow(window, context),
  needs: () => ({ chunkScores: true }),
};
