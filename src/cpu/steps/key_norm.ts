/** @file Scores by the length of keys, the shortest first: `1 / (1 + |key|)`. */
import type { KeyNorm } from "../../policy/steps/key_norm.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const scoreByKeyNorm: CpuStep<KeyNorm> = (rows) => {
  const { kvHeadCount, headSize, scored } = rows;
  return Array.from({ length: kvHeadCount }, (_, head) => {
    const keys = rows.keys(head);
    return Float32Array.from({ length: scored }, (_, j) => {
      let squares = 0;
      for (let at = j * headSize; at < (j + 1) * headSize; at++) squares += keys[at] * keys[at];
      return 1 / (1 + Math.sqrt(squares));
    });
  });
};
