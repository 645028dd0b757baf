/** @file Walks a policy's steps: the CPU half of each, by name. */
import { allSteps, type Score, type Step } from "../../policy/steps.ts";
import { scoreByAttention } from "./attention.ts";
import { scoreByAttentionOfAll } from "./attention_of_all.ts";
import { scoreByKeyDifference } from "./key_difference.ts";
import { scoreByKeyNorm } from "./key_norm.ts";
import { lookUp } from "./look_up.ts";
import { clamp, floorAtMean, normalise, positive, protect, threshold } from "./modifiers.ts";
import { pool } from "./pool.ts";
import { readAhead } from "./read_ahead.ts";
import { scoreByRecency } from "./recency.ts";
import { product, weightedSum } from "../../scores/row_formulas.ts";
import type { CpuStep, ScoredRows, Scores } from "./scored_rows.ts";
import { shareByHeads } from "./shared_by_heads.ts";
import { weighByValues } from "./value_norm.ts";

const STEPS: { readonly [Name in Step["name"]]: CpuStep<Extract<Step, { name: Name }>> } = {
  attention: scoreByAttention,
  attentionOfAll: scoreByAttentionOfAll,
  recency: scoreByRecency,
  keyNorm: scoreByKeyNorm,
  keyDifference: scoreByKeyDifference,
  sharedByHeads: shareByHeads,
  valueNorm: weighByValues,
  lookUp,
  readAhead,
  pool,
  plus: (rows, { score, weight }, scores) => {
    const others = scoreRows(rows, score as Score);
    return scores.map((own, head) => Float32Array.from(weightedSum(own, others[head], weight)));
  },
  times: (rows, { score }, scores) => {
    const others = scoreRows(rows, score as Score);
    return scores.map((own, head) => Float32Array.from(product(own, others[head])));
  },
  normalise,
  floorAtMean,
  clamp,
  threshold,
  positive,
  protect,
  linear: notHere,
  onHost: notHere,
  wgsl: notHere,
};

function notHere(_rows: ScoredRows, { name }: Step): never {
  throw new RangeError(`The step "${name}" of a score cannot be computed on the CPU`);
}

/** @throws {RangeError} naming a step that has no CPU half */
export function checkRunnable(score: Score): void {
  const step = allSteps(score).find(({ name }) => STEPS[name] === notHere);
  if (step !== undefined) throw new RangeError(`The step "${step.name}" of a score cannot be computed on the CPU`);
}

/** The scores of rows. */
export function scoreRows(rows: ScoredRows, score: Score): Scores {
  return score.reduce<Scores>((scores, step) => (STEPS[step.name] as CpuStep<Step>)(rows, step, scores), []);
}
