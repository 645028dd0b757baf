/** @file The step `recency` on the GPU: see kernels/scoring/recency_scores.ts. */
import { recencyScores, recencyScoresDispatch } from "../../kernels/scoring/recency_scores.ts";
import type { Recency } from "../../policy/steps/recency.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Records scores by position. */
export const recordRecency: StepRecorder<Recency> = (work, recorder, { sinks }, { length, scored }) =>
  work.dispatch(
    recorder,
    recencyScores,
    [work.scores],
    recencyScoresDispatch({ ...work.options, length, scored, sinks }),
  );
