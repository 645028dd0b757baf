/** @file Scores by lot; see scores/row_lots.ts. */
import type { Random } from "../../policy/steps/random.ts";
import { lotKey, rowLot } from "../../scores/row_lots.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const scoreByLot: CpuStep<Random> = ({ kvHeadCount, layer, scored }, { seed }) => {
  const key = lotKey(seed, layer);
  return Array.from(
    { length: kvHeadCount },
    (_, head) => Float32Array.from({ length: scored }, (_, row) => rowLot(key, head, row)),
  );
};
