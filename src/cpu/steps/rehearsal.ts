/** @file Scores by what the prompt would look up if it were read a second time: see kernels/scoring/rehearsal_scores.ts. */
import type { Rehearsal } from "../../policy/steps/rehearsal.ts";
import { rehearsalChunkRows } from "../../scores/rehearsal.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const scoreByRehearsal: CpuStep<Rehearsal> = (rows) => {
  const { kvHeadCount, length, scored } = rows;
  const chunk = rehearsalChunkRows(length);
  return Array.from({ length: kvHeadCount }, (_, head) => {
    const scores = new Float32Array(scored);
    for (let first = 0; first < scored; first += chunk) {
      scores.set(rows.rehearsed(head, first, Math.min(chunk, length - first)).subarray(0, scored - first), first);
    }
    return scores;
  });
};
