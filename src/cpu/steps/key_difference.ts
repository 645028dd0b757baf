/**
 * @file Scores by how far keys point from the mean direction of all keys: `1 - cos(key, mean of the unit keys)`. A key of length
 * 0 counts as perpendicular to everything.
 */
import type { KeyDifference } from "../../policy/steps/key_difference.ts";
import type { CpuStep } from "./scored_rows.ts";

/** Smallest squared length that is divided by. */
const TINY = 1e-30;

/** The CPU half of the step. */
export const scoreByKeyDifference: CpuStep<KeyDifference> = (rows) => {
  const { kvHeadCount, headSize, length, scored } = rows;
  return Array.from({ length: kvHeadCount }, (_, head) => {
    const keys = rows.keys(head);
    const inverseLengths = Float64Array.from({ length }, (_, j) => {
      let squares = 0;
      for (let d = 0; d < headSize; d++) squares += keys[j * headSize + d] ** 2;
      return 1 / Math.sqrt(Math.max(squares, TINY));
    });
    const direction = new Float64Array(headSize);
    for (let j = 0; j < length; j++) {
      for (let d = 0; d < headSize; d++) direction[d] += keys[j * headSize + d] * inverseLengths[j];
    }
    const inverseLength = 1 / Math.sqrt(Math.max(direction.reduce((sum, x) => sum + x * x, 0), TINY));
    return Float32Array.from({ length: scored }, (_, j) => {
      let product = 0;
      for (let d = 0; d < headSize; d++) product += keys[j * headSize + d] * direction[d];
      return Math.max(1 - product * inverseLengths[j] * inverseLength, 0);
    });
  });
};
