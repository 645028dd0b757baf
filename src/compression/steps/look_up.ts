/** @file The step `lookUp` on the GPU: see kernels/scoring/lookup_scores.ts. */
import { lookupScores, lookupScoresDispatches, lookupWeightsBytes } from "../../kernels/scoring/lookup_scores.ts";
import { readAhead, readAheadDispatch } from "../../kernels/scoring/read_ahead.ts";
import type { LookUp } from "../../policy/steps/look_up.ts";
import { MAX_LOOKUPS } from "../../scores/limits.ts";
import { layerQueriesBuffer } from "../layer_queries.ts";
import { recordRanking } from "../ranking.ts";
import type { StepRecorder } from "../scoring_work.ts";
import { softmaxScratch, windowScoreKernels } from "./attention.ts";

/** Records what the queries of the best rows attend to, and adds it to the scores. */
export const recordLookUp: StepRecorder<LookUp> = (work, recorder, { best, decay }, { start, scored }) => {
  const { kvHeadCount, queryHeadCount, headSize, capacity } = work.options;
  const { keys } = work.buffers;
  // At least one row is left to be found.
  const lookups = Math.min(best, scored - 1);
  if (lookups === 0) return;
  const ahead = work.spare;
  const spread = readAheadDispatch({ kvHeadCount, length: scored, capacity, decay });
  work.dispatch(recorder, readAhead, [work.scores, ahead], spread);
  recordRanking(work, recorder, ahead, scored, lookups);
  const { partials, statistics } = softmaxScratch(work);
  const queries = work.scratch("lookup queries", MAX_LOOKUPS * queryHeadCount * headSize * 4);
  const weights = work.scratch("lookup weights", lookupWeightsBytes(kvHeadCount));
  const kernels = work.made("lookup scores", ({ element, headSize }) => lookupScores(element, headSize));
  const { combine } = windowScoreKernels(work);
  const dispatches = lookupScoresDispatches({ ...work.options, start, scored, lookups });
  const gathered = [layerQueriesBuffer(work), work.indices, ahead, queries, weights];
  work.dispatch(recorder, kernels.gather, gathered, dispatches.gather);
  work.dispatch(recorder, kernels.partials, [keys, queries, ahead, weights, partials], dispatches.partials);
  work.dispatch(recorder, combine, [partials, statistics], dispatches.combine);
  const buffers = [keys, queries, statistics, ahead, weights, work.scores];
  work.dispatch(recorder, kernels.scores, buffers, dispatches.scores);
};
