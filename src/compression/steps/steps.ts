/** @file How the GPU computes the steps of a score, by name: a new step is a line here. */
import type { Recorder } from "../../gpu/recorder.ts";
import { combineScores, combineScoresDispatch } from "../../kernels/scoring/combine_scores.ts";
import type { Score, Step } from "../../policy/steps.ts";
import type { ScoredSegment, ScoringWork, StepRecorder } from "../scoring_work.ts";
import { recordAttention } from "./attention.ts";
import { recordAttentionOfAll } from "./attention_of_all.ts";
import { recordChunkAttention, recordLeverage } from "./compactor.ts";
import { recordKeyDifference } from "./key_difference.ts";
import { recordKeyNorm } from "./key_norm.ts";
import { recordLinear } from "./linear.ts";
import { recordLookUp } from "./look_up.ts";
import { recordOnHost } from "./on_host.ts";
import { recordPool } from "./pool.ts";
import { recordRandom } from "./random.ts";
import { recordReadAhead } from "./read_ahead.ts";
import { recordRecency } from "./recency.ts";
import { recordRehearsal } from "./rehearsal.ts";
import { recordSharedByHeads } from "./shared_by_heads.ts";
import {
  recordClamp,
  recordFloorAtMean,
  recordNormalise,
  recordPositive,
  recordProtect,
  recordProtectLoudValues,
  recordThreshold,
} from "./simple_modifiers.ts";
import { recordValueNorm } from "./value_norm.ts";
import { recordWgsl } from "./wgsl.ts";

const STEPS: { readonly [Name in Step["name"]]: StepRecorder<Extract<Step, { name: Name }>> } = {
  attention: recordAttention,
  attentionOfAll: recordAttentionOfAll,
  recency: recordRecency,
  random: recordRandom,
  keyNorm: recordKeyNorm,
  keyDifference: recordKeyDifference,
  chunkAttention: recordChunkAttention,
  leverage: recordLeverage,
  rehearsal: recordRehearsal,
  sharedByHeads: recordSharedByHeads,
  valueNorm: recordValueNorm,
  lookUp: recordLookUp,
  readAhead: recordReadAhead,
  pool: recordPool,
  linear: recordLinear,
  onHost: recordOnHost,
  wgsl: recordWgsl,
  plus: (work, recorder, { score, weight }, segment) => recordCombined(work, recorder, score as Score, segment, weight),
  times: (work, recorder, { score }, segment) => recordCombined(work, recorder, score as Score, segment, null),
  normalise: recordNormalise,
  floorAtMean: recordFloorAtMean,
  clamp: recordClamp,
  threshold: recordThreshold,
  positive: recordPositive,
  protectLoudValues: recordProtectLoudValues,
  protect: recordProtect,
};

/** Records a step of a score. */
export function recordStep(work: ScoringWork, recorder: Recorder, step: Step, segment: ScoredSegment): void {
  (STEPS[step.name] as StepRecorder<Step>)(work, recorder, step, segment);
}

/**
 * Records another score, and its sum or product with the one so far.
 *
 * @param weight of the other score in a sum; `null` multiplies
 */
function recordCombined(
  work: ScoringWork,
  recorder: Recorder,
  score: Score,
  segment: ScoredSegment,
  weight: number | null,
): void {
  const own = work.setAside(recorder);
  for (const step of score) recordStep(work, recorder, step, { ...segment, statistics: false });
  const dispatch = combineScoresDispatch({ ...work.options, scored: segment.scored, weight });
  work.dispatch(recorder, combineScores, [own, work.scores], dispatch);
  work.takeBack();
}
