/**
 * @file Adds what the best rows, once read, will look for: see kernels/scoring/lookup_scores.ts. The queries of the best rows
 * of each KV head look at all other rows; the most that one of them finds in a row, weighed by what it is worth itself, is added.
 */
import { SINKS } from "../../kernels/scoring/read_ahead.ts";
import { spread } from "./read_ahead.ts";
import { bestRows } from "../ranking.ts";
import type { LookUp } from "../../policy/steps/look_up.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const lookUp: CpuStep<LookUp> = (rows, { best, decay }, scores) => {
  const { group, scored } = rows;
  const looking = Math.min(best, scored - 1);
  if (looking <= 0) return scores;
  const ahead = spread(scores, decay);
  return scores.map((own, head) => {
    const worth = ahead[head];
    const lookers = bestRows(worth, looking);
    const least = worth[lookers[looking - 1]];
    const isHidden = (row: number) => worth[row] >= least;
    const found = rows.lookUp(head, lookers, isHidden);
    return own.map((score, j) => {
      if (isHidden(j)) return score;
      let most = 0;
      for (let query = 0; query < group * looking; query++) {
        const row = lookers[query % looking];
        // Attention sinks do not look.
        if (row >= SINKS) most = Math.max(most, worth[row] * found[query * scored + j]);
      }
      return score + most;
    });
  });
};
