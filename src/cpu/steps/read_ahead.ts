/**
 * @file What a row is worth counts for the rows after it as well, the less the farther they are; see
 * kernels/scoring/read_ahead.ts, whose limits these are.
 */
import { REACH, SINKS } from "../../kernels/scoring/read_ahead.ts";
import type { ReadAhead } from "../../policy/steps/read_ahead.ts";
import type { CpuStep, Scores } from "./scored_rows.ts";

/** The CPU half of the step. */
export const readAhead: CpuStep<ReadAhead> = (_rows, { decay }, scores) => spread(scores, decay);

/** Scores that count for the rows that follow as well. */
export function spread(scores: Scores, decay: number): Scores {
  return scores.map((own) =>
    own.map((_, j) => {
      const first = j < SINKS ? j : Math.max(j - REACH, SINKS);
      let sum = 0;
      for (let i = first; i <= j; i++) sum = sum * decay + own[i];
      return sum;
    })
  );
}
