/** @file Walks a policy's steps: the CPU half of each, by name. */
import type { Score, Step } from "../../policy/steps.ts";
import { scoreByAttention } from "./attention.ts";
import { scoreByAttentionOfAll } from "./attention_of_all.ts";
import { scoreByKeyDifference } from "./key_difference.ts";
import { scoreByKeyNorm } from "./key_norm.ts";
import { scoreByChunkAttention, scoreByLeverage } from "./compactor.ts";
import { combined } from "./combined.ts";
import { scoreLinearly, scoreOnHost } from "./host_steps.ts";
import { lookUp } from "./look_up.ts";
import { pool } from "./pool.ts";
import { scoreByLot } from "./random.ts";
import { readAhead } from "./read_ahead.ts";
import { scoreByRecency } from "./recency.ts";
import { scoreByRehearsal } from "./rehearsal.ts";
import type { CpuStep, ScoredRows, Scores } from "./scored_rows.ts";
import { shareByHeads } from "./shared_by_heads.ts";
import {
  clampScores,
  dropBelow,
  floorAtMean,
  makePositive,
  normaliseScores,
  protectLoudValues,
  protectRows,
} from "./simple_modifiers.ts";
import { weighByValues } from "./value_norm.ts";

const STEPS: { readonly [Name in Step["name"]]: CpuStep<Extract<Step, { name: Name }>> } = {
  attention: scoreByAttention,
  attentionOfAll: scoreByAttentionOfAll,
  recency: scoreByRecency,
  random: scoreByLot,
  keyNorm: scoreByKeyNorm,
  keyDifference: scoreByKeyDifference,
  chunkAttention: scoreByChunkAttention,
  leverage: scoreByLeverage,
  rehearsal: scoreByRehearsal,
  sharedByHeads: shareByHeads,
  valueNorm: weighByValues,
  lookUp,
  readAhead,
  pool,
  linear: scoreLinearly,
  onHost: scoreOnHost,
  wgsl: () => {
    throw new Error("WGSL needs a GPU: withoutKernels() should have taken it out");
  },
  plus: (rows, { score, weight }, scores) => combined(scores, scoreRows(rows, score as Score), weight),
  times: (rows, { score }, scores) => combined(scores, scoreRows(rows, score as Score), null),
  normalise: normaliseScores,
  floorAtMean,
  clamp: clampScores,
  threshold: dropBelow,
  positive: makePositive,
  protectLoudValues,
  protect: protectRows,
};

/** The scores of rows. */
export function scoreRows(rows: ScoredRows, score: Score): Scores {
  return score.reduce<Scores>((scores, step) => (STEPS[step.name] as CpuStep<Step>)(rows, step, scores), []);
}
