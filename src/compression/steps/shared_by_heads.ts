/** @file The step `sharedByHeads` on the GPU: see kernels/scoring/average_heads.ts. */
import { averageHeads, averageHeadsDispatch } from "../../kernels/scoring/average_heads.ts";
import type { SharedByHeads } from "../../policy/steps/shared_by_heads.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Records the mean of all heads, for each of them. */
export const recordSharedByHeads: StepRecorder<SharedByHeads> = (work, recorder, _step, { scored }) =>
  work.dispatch(recorder, averageHeads, [work.scores], averageHeadsDispatch({ ...work.options, scored }));
