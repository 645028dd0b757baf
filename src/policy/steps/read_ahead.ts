/** @file The modifier `readAhead`: what follows a row that matters will be needed next. */
import { checkDecay, type StepRules } from "./step_rules.ts";

/** A row's score counts for the rows that follow as well. */
export interface ReadAhead {
  readonly name: "readAhead";
  readonly decay: number;
}

/**
 * Lets the score of a row count for the next one `decay` times, for the one after that its square, and so on for 32 rows.
 *
 * @param decay in [0, 1); 0 does not read ahead
 */
export function readAhead({ decay }: Pick<ReadAhead, "decay">): ReadAhead {
  return { name: "readAhead", decay };
}

/** The pure half of {@link readAhead}. */
export const readAheadRules: StepRules<ReadAhead> = {
  role: "modifier",
  // What follows a row is found by its position.
  rankingAgain: "impossible",
  isAttention: () => true,
  check: ({ decay }) => checkDecay(decay),
};
