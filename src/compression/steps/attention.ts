/** @file The step `attention` on the GPU: see kernels/scoring/window_scores.ts, window_moments.ts and window_maxima.ts. */
import {
  windowPartialsBytes,
  type WindowScoreKernels,
  windowScores,
  windowScoresDispatches,
  windowStatisticsBytes,
} from "../../kernels/scoring/window_scores.ts";
import {
  sumMoments,
  windowMoments,
  windowMomentsBytes,
  windowMomentsDispatches,
} from "../../kernels/scoring/window_moments.ts";
import { windowMaxima, windowMaximaDispatch } from "../../kernels/scoring/window_maxima.ts";
import { type Attention, poolingWidth } from "../../policy/steps/attention.ts";
import { MAX_WINDOW } from "../../scores/limits.ts";
import type { ScoringWork, StepRecorder } from "../scoring_work.ts";

/** Softmax statistics of queries over keys, and what they are combined of; the step `lookUp` makes its own with them. */
export function softmaxScratch(work: ScoringWork): { partials: GPUBuffer; statistics: GPUBuffer } {
  const { kvHeadCount, queryHeadCount, capacity } = work.options;
  return {
    partials: work.scratch("window partials", windowPartialsBytes(kvHeadCount, queryHeadCount, capacity)),
    statistics: work.scratch("window statistics", windowStatisticsBytes(kvHeadCount, queryHeadCount)),
  };
}

/** The kernels of a window. */
export function windowScoreKernels(work: ScoringWork): WindowScoreKernels {
  return work.made("window scores", ({ element, headSize }) => windowScores(element, headSize));
}

/** Records the attention of the window, and its statistics where they are wanted. */
export const recordAttention: StepRecorder<Attention> = (work, recorder, step, segment) => {
  const { reduce } = step;
  const { segmentIndex, earlierQueries = 0, queries = MAX_WINDOW, start, length, recordOffset, statistics } = segment;
  const { kvHeadCount, capacity } = work.options;
  const { keys, windowQueries, layerRecords } = work.buffers;
  const scratch = softmaxScratch(work);
  const window = Math.min(step.window, queries);
  const shape = { ...work.options, firstQuery: segmentIndex * MAX_WINDOW + earlierQueries, start, length, window };
  const kernels = windowScoreKernels(work);
  const dispatches = windowScoresDispatches(shape);
  work.dispatch(recorder, kernels.partials, [keys, windowQueries, scratch.partials], dispatches.partials);
  work.dispatch(recorder, kernels.combine, [scratch.partials, scratch.statistics], dispatches.combine);
  const isSum = reduce === "sum";
  const attended = [keys, windowQueries, scratch.statistics, work.scores];
  if (isSum && !statistics) return work.dispatch(recorder, kernels.scores, attended, dispatches.scores);
  const width = poolingWidth(step);
  const recordMaxima = (width: number) => {
    const kernel = work.made("window maxima", ({ element, headSize }) => windowMaxima(element, headSize));
    work.dispatch(recorder, kernel, attended, windowMaximaDispatch({ ...shape, width }));
  };
  if (width !== null && !statistics) return recordMaxima(width);
  const moments = work.scratch("window moments", windowMomentsBytes(kvHeadCount, capacity));
  const momentsDispatches = windowMomentsDispatches({
    ...shape,
    weight: isSum ? 1 : 1 / window,
    varianceWeight: typeof reduce === "object" && "varianceWeight" in reduce ? reduce.varianceWeight : 0,
    isMaximum: reduce === "group-maximum",
    recordOffset,
  });
  const kernel = work.made("window moments", ({ element, headSize }) => windowMoments(element, headSize));
  work.dispatch(recorder, kernel, [...attended, moments], momentsDispatches.moments);
  if (statistics) work.dispatch(recorder, sumMoments, [moments, layerRecords], momentsDispatches.sum);
  // The scores that came with the statistics are written over.
  if (width !== null) recordMaxima(width);
};
