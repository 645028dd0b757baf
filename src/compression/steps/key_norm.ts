/** @file The step `keyNorm` on the GPU: see kernels/scoring/key_scores.ts. */
import { keyNormScores, keyNormScoresDispatch } from "../../kernels/scoring/key_scores.ts";
import type { KeyNorm } from "../../policy/steps/key_norm.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Records scores by the lengths of keys. */
export const recordKeyNorm: StepRecorder<KeyNorm> = (work, recorder, _step, { start, length, scored }) => {
  const dispatch = keyNormScoresDispatch({ ...work.options, start, length, scored });
  const kernel = work.made("key norm scores", ({ element, headSize }) => keyNormScores(element, headSize));
  work.dispatch(recorder, kernel, [work.buffers.keys, work.scores], dispatch);
};
