/** @file How the GPU computes the steps of a score, by name: a new step is a line here. */
import type { Recorder } from "../../gpu/recorder.ts";
import type { Step } from "../../policy/steps.ts";
import type { ScoredSegment, ScoringWork, StepRecorder } from "../scoring_work.ts";
import { recordAttention } from "./attention.ts";
import { recordAttentionOfAll } from "./attention_of_all.ts";
import { recordKeyDifference } from "./key_difference.ts";
import { recordKeyNorm } from "./key_norm.ts";
import { recordLookUp } from "./look_up.ts";
import { recordPool } from "./pool.ts";
import { recordReadAhead } from "./read_ahead.ts";
import { recordRecency } from "./recency.ts";
import { recordSharedByHeads } from "./shared_by_heads.ts";
import { recordValueNorm } from "./value_norm.ts";

const STEPS: { readonly [Name in Step["name"]]: StepRecorder<Extract<Step, { name: Name }>> } = {
  attention: recordAttention,
  attentionOfAll: recordAttentionOfAll,
  recency: recordRecency,
  keyNorm: recordKeyNorm,
  keyDifference: recordKeyDifference,
  sharedByHeads: recordSharedByHeads,
  valueNorm: recordValueNorm,
  lookUp: recordLookUp,
  readAhead: recordReadAhead,
  pool: recordPool,
};

/** Records a step of a score. */
export function recordStep(work: ScoringWork, recorder: Recorder, step: Step, segment: ScoredSegment): void {
  (STEPS[step.name] as StepRecorder<Step>)(work, recorder, step, segment);
}
