/** @file Scores by what the prompt would look up if it were read a second time: see kernels/scoring/rehearsal_scores.ts. */
import type { Rehearsal } from "../../policy/steps/rehearsal.ts";
import { rehearsalChunks } from "../../scores/rehearsal.ts";
import { blankScores, type CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const scoreByRehearsal: CpuStep<Rehearsal> = (rows) => {
  const { length, scored, knownScores } = rows;
  const scores = blankScores(rows);
  scores.forEach((own, head) => knownScores?.restore(head, own));
  for (const chunk of rehearsalChunks(length, knownScores?.rows)) {
    const { first, scoredFrom } = chunk;
    if (scoredFrom >= scored) continue;
    rows.rehearsed(chunk).forEach((own, head) =>
      scores[head].set(own.subarray(scoredFrom - first, scored - first), scoredFrom)
    );
  }
  knownScores?.store(scores);
  return scores;
};
