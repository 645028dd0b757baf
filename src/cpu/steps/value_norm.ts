/**
 * @file Weighs scores by the mean absolute element of a row's value, or of the value of its head where that is largest, or by the
 * share of it among all KV heads; see kernels/scoring/value_norms.ts.
 */
import type { ValueNorm } from "../../policy/steps/value_norm.ts";
import type { CpuStep, ScoredRows } from "./scored_rows.ts";

/** Mean absolute elements of the values of a KV head's scored rows. */
export function valueNorms(rows: ScoredRows, head: number): Float32Array {
  const { headSize, scored } = rows;
  const values = rows.values(head);
  return Float32Array.from({ length: scored }, (_, j) => {
    let sum = 0;
    for (let at = j * headSize; at < (j + 1) * headSize; at++) sum += Math.abs(values[at]);
    return sum / headSize;
  });
}

/** The CPU half of the step. */
export const weighByValues: CpuStep<ValueNorm> = (rows, { by }, scores) => {
  const norms = scores.map((_, head) => valueNorms(rows, head));
  return scores.map((own, head) => {
    const largest = norms[head].reduce((most, norm) => Math.max(most, norm), 0);
    const weight = {
      row: (j: number) => norms[head][j],
      head: () => largest,
      share: (j: number) => norms[head][j] / (norms.reduce((sum, { [j]: norm }) => sum + norm, 0) || 1),
    }[by];
    return own.map((score, j) => score * weight(j));
  });
};
