/**
 * @file Weighs scores by the mean absolute element of a row's value, or of the value of its head where that is largest; see
 * kernels/scoring/value_norms.ts.
 */
import type { ScoredRows, Scores } from "./scored_rows.ts";

export function weighByValues(scores: Scores, rows: ScoredRows, by: "row" | "head"): Scores {
  const { headSize, scored } = rows;
  return scores.map((own, head) => {
    const values = rows.values(head);
    const norms = Float32Array.from({ length: scored }, (_, j) => {
      let sum = 0;
      for (let at = j * headSize; at < (j + 1) * headSize; at++) sum += Math.abs(values[at]);
      return sum / headSize;
    });
    const largest = norms.reduce((most, norm) => Math.max(most, norm), 0);
    return own.map((score, j) => score * (by === "row" ? norms[j] : largest));
  });
}
