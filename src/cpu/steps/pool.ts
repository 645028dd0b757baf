/** @file Pools scores along the sequence: `average` counts the zero padding at the ends, `maximum` ignores it. */
import type { Pool } from "../../policy/steps/pool.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const pool: CpuStep<Pool> = (_rows, { width, by }, scores) => {
  if (width === 1) return scores;
  const half = (width - 1) / 2;
  return scores.map((own) =>
    own.map((_, j) => {
      const first = Math.max(0, j - half);
      const last = Math.min(own.length - 1, j + half);
      let pooled = 0;
      for (let i = first; i <= last; i++) pooled = by === "average" ? pooled + own[i] : Math.max(pooled, own[i]);
      return by === "average" ? pooled / width : pooled;
    })
  );
};
