/** @file Scores by position alone: the first `sinks` rows, then the later the better; see kernels/scoring/recency_scores.ts. */
import type { ScoredRows, Scores } from "./scored_rows.ts";

export function scoreByRecency({ kvHeadCount, length, scored }: ScoredRows, sinks: number): Scores {
  const scores = Float32Array.from({ length: scored }, (_, j) => j < sinks ? 2 - j / length : (j + 1) / length);
  return Array.from({ length: kvHeadCount }, () => scores.slice());
}
