/** @file Scores by what the prompt would look up if it were read a second time: see kernels/scoring/rehearsal_scores.ts. */
import type { Rehearsal } from "../../policy/steps/rehearsal.ts";
import { rehearsalChunks } from "../../scores/rehearsal.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const scoreByRehearsal: CpuStep<Rehearsal> = (rows) => {
  const { kvHeadCount, length, scored, knownScores } = rows;
  const chunks = rehearsalChunks(length, knownScores?.rows);
  const scores = Array.from({ length: kvHeadCount }, (_, head) => {
    const own = new Float32Array(scored);
    knownScores?.restore(head, own);
    for (const { first, count, scoredFrom } of chunks) {
      if (scoredFrom >= scored) continue;
      own.set(rows.rehearsed(head, first, count).subarray(scoredFrom - first, scored - first), scoredFrom);
    }
    return own;
  });
  knownScores?.store(scores);
  return scores;
};
