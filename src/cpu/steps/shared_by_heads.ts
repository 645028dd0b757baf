/** @file All KV heads get the mean of their scores, and so keep the same rows. */
import type { ScoredRows, Scores } from "./scored_rows.ts";

export function shareByHeads(scores: Scores, { scored, kvHeadCount }: ScoredRows): Scores {
  const mean = Float32Array.from({ length: scored }, (_, j) => {
    let sum = 0;
    for (const head of scores) sum += head[j];
    return sum / kvHeadCount;
  });
  return scores.map(() => mean.slice());
}
