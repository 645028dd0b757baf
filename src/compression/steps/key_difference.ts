/** @file The step `keyDifference` on the GPU: see kernels/scoring/key_scores.ts. */
import {
  keyDifferenceScores,
  keyDifferenceScoresDispatches,
  keyDirections,
  keyDirectionsBytes,
} from "../../kernels/scoring/key_scores.ts";
import type { KeyDifference } from "../../policy/steps/key_difference.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Records the mean direction of the keys, and scores by the angle to it. */
export const recordKeyDifference: StepRecorder<KeyDifference> = (work, recorder, _step, { start, length, scored }) => {
  const { kvHeadCount, headSize, capacity } = work.options;
  const { keys } = work.buffers;
  const sums = work.scratch("key directions", keyDirectionsBytes(kvHeadCount, headSize, capacity));
  const dispatches = keyDifferenceScoresDispatches({ ...work.options, start, length, scored });
  const kernels = work.made("key difference scores", ({ element, headSize }) => ({
    directions: keyDirections(element, headSize),
    scores: keyDifferenceScores(element, headSize),
  }));
  work.dispatch(recorder, kernels.directions, [keys, sums], dispatches.directions);
  work.dispatch(recorder, kernels.scores, [keys, sums, work.scores], dispatches.scores);
};
