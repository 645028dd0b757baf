/** @file The step `attentionOfAll` on the GPU: all there is to compute has been added up while the layer's tiles were read. */
import type { AttentionOfAll } from "../../policy/steps/attention_of_all.ts";
import { attentionSumsBuffer } from "../attention_sums.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Takes the sums of the segment's rows. */
export const recordAttentionOfAll: StepRecorder<AttentionOfAll> = (work, recorder, _step, { start, scored }) => {
  const { kvHeadCount, capacity } = work.options;
  for (let head = 0; head < kvHeadCount; head++) {
    const row = head * capacity;
    recorder.copy(attentionSumsBuffer(work), (row + start) * 4, work.scores, row * 4, scored * 4);
  }
};
