/** @file Scores by position alone: the first `sinks` rows, then the later the better; see kernels/scoring/recency_scores.ts. */
import type { Recency } from "../../policy/steps/recency.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const scoreByRecency: CpuStep<Recency> = ({ kvHeadCount, length, scored }, { sinks }) => {
  const scores = Float32Array.from({ length: scored }, (_, j) => j < sinks ? 2 - j / length : (j + 1) / length);
  return Array.from({ length: kvHeadCount }, () => scores.slice());
};
