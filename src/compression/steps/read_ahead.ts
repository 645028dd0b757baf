/** @file The step `readAhead` on the GPU: see kernels/scoring/read_ahead.ts. */
import { readAhead, readAheadDispatch } from "../../kernels/scoring/read_ahead.ts";
import type { ReadAhead } from "../../policy/steps/read_ahead.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Records scores that count for the rows that follow. */
export const recordReadAhead: StepRecorder<ReadAhead> = (work, recorder, { decay }, { scored }) => {
  const dispatch = readAheadDispatch({ ...work.options, length: scored, decay });
  work.dispatch(recorder, readAhead, [work.scores, work.spare], dispatch);
  work.swap();
};
