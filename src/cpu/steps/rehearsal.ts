/** @file Scores by what the prompt would look up if it were read a second time: see kernels/scoring/rehearsal_scores.ts. */
import type { Rehearsal } from "../../policy/steps/rehearsal.ts";
import { rehearsalChunks } from "../../scores/rehearsal.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const scoreByRehearsal: CpuStep<Rehearsal> = (rows) => {
  const { kvHeadCount, length, scored } = rows;
  const chunks = rehearsalChunks(length);
  return Array.from({ length: kvHeadCount }, (_, head) => {
    const scores = new Float32Array(scored);
    for (const { first, count, scoredFrom } of chunks) {
      if (scoredFrom >= scored) continue;
      scores.set(rows.rehearsed(head, first, count).subarray(scoredFrom - first, scored - first), scoredFrom);
    }
    return scores;
  });
};
