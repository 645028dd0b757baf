/**
 * @file Weighs scores by the mean absolute element of a row's value, or of the value of its head where that is largest; see
 * kernels/scoring/value_norms.ts.
 */
import type { ValueNorm } from "../../policy/steps/value_norm.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const weighByValues: CpuStep<ValueNorm> = (rows, { by }, scores) => {
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
};
