/** @file The step `rehearsal` on the GPU: see kernels/scoring/rehearsal_scores.ts. */
import { rehearsalScores, rehearsalScoresDispatch } from "../../kernels/scoring/rehearsal_scores.ts";
import type { Rehearsal } from "../../policy/steps/rehearsal.ts";
import { layerQueriesBuffer } from "../layer_queries.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Records what each row would be paid if the prompt came again, as far as that is not known. */
export const recordRehearsal: StepRecorder<Rehearsal> = (work, recorder, _step, segment) => {
  const { start, length, scored, knownScores } = segment;
  const { keys, ropeTable } = work.buffers;
  if (ropeTable === undefined) throw new Error("Nothing is known of how keys are rotated");
  const kernel = work.made(
    "rehearsal scores",
    ({ element, headSize, rotary }) => rehearsalScores(element, headSize, rotary?.pairing ?? "halves"),
  );
  const known = knownScores?.rows ?? 0;
  const dispatch = rehearsalScoresDispatch({ ...work.options, start, length, scored }, known);
  work.dispatch(recorder, kernel, [layerQueriesBuffer(work), keys, ropeTable, work.scores], dispatch);
  knownScores?.restore(recorder, work.scores, scored);
  knownScores?.store(recorder, work.scores, scored);
};
