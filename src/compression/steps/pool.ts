/** @file The step `pool` on the GPU: see kernels/scoring/pool_scores.ts. */
import { poolScores, poolScoresDispatch } from "../../kernels/scoring/pool_scores.ts";
import type { Pool } from "../../policy/steps/pool.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Records pooled scores. */
export const recordPool: StepRecorder<Pool> = (work, recorder, { width, by }, { scored }) => {
  if (width === 1) return;
  const dispatch = poolScoresDispatch({ ...work.options, length: scored, width, by });
  work.dispatch(recorder, poolScores, [work.scores, work.spare], dispatch);
  work.swap();
};
