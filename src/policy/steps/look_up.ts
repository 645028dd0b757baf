/** @file The modifier `lookUp`: the best rows look once more, with their own queries. */
import { MAX_LOOKUPS } from "../../scores/limits.ts";
import { checkDecay, type StepRules } from "./step_rules.ts";

/** What the queries of the best rows look for, added to the scores. */
export interface LookUp {
  readonly name: "lookUp";
  readonly best: number;
  readonly decay: number;
}

/**
 * Adds to the scores what the queries of the `best` rows of each KV head attend to, each weighted by its row's score. Which rows
 * are best is found after reading ahead with `decay`, see `readAhead`.
 *
 * @param best 1 to 64 rows of each KV head; 0 looks nothing up
 * @param decay in [0, 1)
 */
export function lookUp({ best, decay }: Pick<LookUp, "best" | "decay">): LookUp {
  return { name: "lookUp", best, decay };
}

/** The pure half of {@link lookUp}. */
export const lookUpRules: StepRules<LookUp> = {
  role: "modifier",
  // Which row a query belongs to is found by its position.
  rankingAgain: "impossible",
  isAttention: () => true,
  check({ best, decay }) {
    if (!Number.isInteger(best) || best < 0 || best > MAX_LOOKUPS) {
      throw new RangeError(`The score's best rows must be a whole number from 0 to ${MAX_LOOKUPS}, but are ${best}`);
    }
    checkDecay(decay);
  },
  needs: ({ best }) => ({ layerQueries: best > 0 }),
};
