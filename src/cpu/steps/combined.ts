/** @file Two scores become one: `a + weight x b`, or `a x b`; see scores/row_formulas.ts. */
import { product, weightedSum } from "../../scores/row_formulas.ts";
import type { Scores } from "./scored_rows.ts";

/** @param weight of the other scores in a sum; `null` multiplies */
export function combined(own: Scores, others: Scores, weight: number | null): Scores {
  return own.map((scores, head) =>
    Float32Array.from(weight === null ? product(scores, others[head]) : weightedSum(scores, others[head], weight))
  );
}
