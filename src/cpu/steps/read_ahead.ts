/**
 * @file What a row is worth counts for the rows after it as well, the less the farther they are; see
 * kernels/scoring/read_ahead.ts, whose limits these are.
 */
import { REACH, SINKS } from "../../kernels/scoring/read_ahead.ts";
import type { ScoredRows, Scores } from "./scored_rows.ts";

export function readAhead(scores: Scores, _rows: ScoredRows, decay: number): Scores {
  return scores.map((own) =>
    own.map((_, j) => {
      const first = j < SINKS ? j : Math.max(j - REACH, SINKS);
      let sum = 0;
      for (let i = first; i <= j; i++) sum = sum * decay + own[i];
      return sum;
    })
  );
}
