/** @file The step `rehearsal` on the GPU: see kernels/scoring/rehearsal_scores.ts. */
import { rehearsalScores, rehearsalScoresDispatch } from "../../kernels/scoring/rehearsal_scores.ts";
import { turnedQueries, turnedQueriesDispatch } from "../../kernels/scoring/turned_queries.ts";
import type { Rehearsal } from "../../policy/steps/rehearsal.ts";
import { REHEARSAL_CHUNK, rehearsalChunks } from "../../scores/rehearsal.ts";
import { layerQueriesBuffer } from "../layer_queries.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Chunks that are scored together: as many as there is room for their turned queries. */
const CHUNKS = 2;

/** Records what each row would be paid if the prompt came again, as far as that is not known. */
export const recordRehearsal: StepRecorder<Rehearsal> = (work, recorder, _step, segment) => {
  const { start, length, scored, knownScores } = segment;
  const { keys, ropeTable } = work.buffers;
  const { kvHeadCount, queryHeadCount, headSize, capacity } = work.options;
  if (ropeTable === undefined) throw new Error("Nothing is known of how keys are rotated");
  const kernels = work.made("rehearsal", (options) => ({
    turn: turnedQueries(headSize, options.rotary?.pairing ?? "halves"),
    score: rehearsalScores(options),
  }));
  const queries = layerQueriesBuffer(work);
  const turned = work.scratch("turned queries", CHUNKS * REHEARSAL_CHUNK * queryHeadCount * headSize * 4);
  const known = Math.min(knownScores?.rows ?? 0, scored);
  for (let head = 0; head < kvHeadCount && known < scored; head++) {
    recorder.clear(work.scores, (head * capacity + known) * 4, (scored - known) * 4);
  }
  const { length: count } = rehearsalChunks(length, knownScores?.rows);
  const end = Math.ceil(length / REHEARSAL_CHUNK);
  for (let chunk = end - count; chunk < end; chunk += CHUNKS) {
    const shape = { ...work.options, start, length, scored, chunk, chunks: Math.min(CHUNKS, end - chunk) };
    work.dispatch(recorder, kernels.turn, [queries, ropeTable, turned], turnedQueriesDispatch(shape));
    work.dispatch(recorder, kernels.score, [queries, turned, keys, work.scores], rehearsalScoresDispatch(shape));
  }
  knownScores?.restore(recorder, work.scores, scored);
  knownScores?.store(recorder, work.scores, scored);
};
