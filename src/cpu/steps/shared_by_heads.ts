/** @file All KV heads get the mean of their scores, and so keep the same rows. */
import type { SharedByHeads } from "../../policy/steps/shared_by_heads.ts";
import type { CpuStep } from "./scored_rows.ts";

/** The CPU half of the step. */
export const shareByHeads: CpuStep<SharedByHeads> = ({ scored, kvHeadCount }, _step, scores) => {
  const mean = Float32Array.from({ length: scored }, (_, j) => {
    let sum = 0;
    for (const head of scores) sum += head[j];
    return sum / kvHeadCount;
  });
  return scores.map(() => mean.slice());
};
