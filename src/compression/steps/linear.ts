/** @file The step `linear` on the GPU: see kernels/scoring/linear_scores.ts. */
import { linearScores, linearScoresDispatch } from "../../kernels/scoring/linear_scores.ts";
import type { Linear } from "../../policy/steps/linear.ts";
import { hostNumbers, type StepRecorder } from "../scoring_work.ts";

/** Records scores by the vectors that the host has computed. */
export const recordLinear: StepRecorder<Linear> = (work, recorder, step, segment) => {
  const { start, scored } = segment;
  const kernel = work.made(
    "linear scores",
    ({ element, headSize, rotary }) => linearScores(element, headSize, rotary?.pairing ?? "halves"),
  );
  const buffers = [work.buffers.keys, hostNumbers(segment, step), work.scores];
  work.dispatch(recorder, kernel, buffers, linearScoresDispatch({ ...work.options, start, scored }));
};
