/** @file The source `recency`: the first rows, then the later the better. */
import { checkWindow, type StepRules } from "./step_rules.ts";

/** The first `sinks` rows, then the later a row the higher. */
export interface Recency {
  readonly name: "recency";
  readonly window: number;
  readonly sinks: number;
}

/**
 * Ranks the first `sinks` rows first, then the later a row the higher.
 *
 * @param window last rows, which are always kept; 1 if not given
 * @param sinks first rows, which rank before all others; none if not given
 */
export function recency({ window = 1, sinks = 0 }: Partial<Recency> = {}): Recency {
  return { name: "recency", window, sinks };
}

/** The pure half of {@link recency}. */
export const recencyRules: StepRules<Recency> = {
  role: "source",
  rankingAgain: "impossible",
  check({ window, sinks }, context) {
    checkWindow(window, context);
    if (!Number.isInteger(sinks) || sinks < 0) {
      throw new RangeError(`The score's sinks must be a whole number of rows, but are ${sinks}`);
    }
  },
};
