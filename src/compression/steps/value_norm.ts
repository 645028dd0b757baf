/** @file The step `valueNorm` on the GPU: see kernels/scoring/value_norms.ts. */
import {
  largestNorms,
  weighByHeads,
  weighByHeadsDispatches,
  weighByRows,
  weighByRowsDispatch,
  weighByShares,
  weighBySharesDispatch,
} from "../../kernels/scoring/value_norms.ts";
import type { ValueNorm } from "../../policy/steps/value_norm.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Records the product of scores and the size of values. */
export const recordValueNorm: StepRecorder<ValueNorm> = (work, recorder, { by }, { start, scored }) => {
  const { kvHeadCount } = work.options;
  const { values } = work.buffers;
  const shape = { ...work.options, start, scored };
  const kernels = work.made("value norms", ({ element, headSize }) => ({
    rows: weighByRows(element, headSize),
    shares: weighByShares(element, headSize),
    largest: largestNorms(element, headSize),
  }));
  if (by === "row") {
    return work.dispatch(recorder, kernels.rows, [values, work.scores], weighByRowsDispatch(shape));
  }
  if (by === "share") {
    return work.dispatch(recorder, kernels.shares, [values, work.scores], weighBySharesDispatch(shape));
  }
  const norms = work.scratch("largest value norms", kvHeadCount * 4);
  const dispatches = weighByHeadsDispatches(shape);
  recorder.clear(norms);
  work.dispatch(recorder, kernels.largest, [values, norms], dispatches.largest);
  work.dispatch(recorder, weighByHeads, [norms, work.scores], dispatches.weigh);
};
