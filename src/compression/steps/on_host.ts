/** @file The step `onHost` on the GPU: the scores that the host has computed. */
import type { OnHost } from "../../policy/steps/on_host.ts";
import { hostNumbers, type StepRecorder } from "../scoring_work.ts";

/** Records the way of the scores to where the next step looks for them. */
export const recordOnHost: StepRecorder<OnHost> = (work, recorder, step, segment) => {
  const { kvHeadCount, capacity } = work.options;
  for (let head = 0; head < kvHeadCount; head++) {
    const bytes = segment.scored * 4;
    recorder.copy(hostNumbers(segment, step), head * bytes, work.scores, head * capacity * 4, bytes);
  }
};
