/**
 * @file The steps that change scores in place, on the GPU: see kernels/scoring/{normalise,bound}_scores.ts, protect_rows.ts and
 * loud_values.ts.
 */
import { boundScores, boundScoresDispatch, type BoundScoresShape } from "../../kernels/scoring/bound_scores.ts";
import {
  normaliseScores,
  normaliseScoresDispatch,
  type NormaliseScoresShape,
} from "../../kernels/scoring/normalise_scores.ts";
import { loudValues, loudValuesDispatch } from "../../kernels/scoring/loud_values.ts";
import { protectRows, protectRowsDispatches } from "../../kernels/scoring/protect_rows.ts";
import type { Clamp } from "../../policy/steps/clamp.ts";
import type { FloorAtMean } from "../../policy/steps/floor_at_mean.ts";
import type { Normalise } from "../../policy/steps/normalise.ts";
import type { Positive } from "../../policy/steps/positive.ts";
import type { Protect } from "../../policy/steps/protect.ts";
import type { ProtectLoudValues } from "../../policy/steps/protect_loud_values.ts";
import type { Threshold } from "../../policy/steps/threshold.ts";
import type { StepRecorder } from "../scoring_work.ts";

const normalising = <Step>(wayOf: (step: Step) => NormaliseScoresShape["by"]): StepRecorder<Step> =>
(
  work,
  recorder,
  step,
  { scored },
) => {
  const dispatch = normaliseScoresDispatch({ ...work.options, scored, by: wayOf(step) });
  work.dispatch(recorder, normaliseScores, [work.scores], dispatch);
};

const bounding =
  <Step>(boundsOf: (step: Step) => Pick<BoundScoresShape, "by" | "least" | "most">): StepRecorder<Step> =>
  (work, recorder, step, { scored }) => {
    const dispatch = boundScoresDispatch({ ...work.options, scored, ...boundsOf(step) });
    work.dispatch(recorder, boundScores, [work.scores], dispatch);
  };

export const recordNormalise = normalising<Normalise>(({ by }) => by);
export const recordFloorAtMean = normalising<FloorAtMean>(() => "floor at mean");
export const recordClamp = bounding<Clamp>(({ least, most }) => ({ by: "clamp", least, most }));
export const recordThreshold = bounding<Threshold>(({ least }) => ({ by: "threshold", least }));
export const recordPositive = bounding<Positive>(() => ({ by: "positive" }));

/** Records scores that no other has for protected rows. */
export const recordProtect: StepRecorder<Protect> = (work, recorder, { ranges }, { scored }) => {
  for (const dispatch of protectRowsDispatches({ ...work.options, scored, ranges })) {
    work.dispatch(recorder, protectRows, [work.scores], dispatch);
  }
};

/** Records the same for rows with very large values. */
export const recordProtectLoudValues: StepRecorder<ProtectLoudValues> = (
  work,
  recorder,
  { times },
  { start, scored },
) => {
  const kernel = work.made("loud values", ({ element, headSize }) => loudValues(element, headSize));
  const dispatch = loudValuesDispatch({ ...work.options, start, scored, times });
  work.dispatch(recorder, kernel, [work.buffers.values, work.scores], dispatch);
};
