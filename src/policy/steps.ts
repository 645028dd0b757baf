/**
 * @file A score is a list of steps: a source, which gives every row of a layer a number for each KV head, and modifiers, which
 * change these numbers one after the other.
 *
 *     [attention({ window: 8 }), pool({ width: 7, by: "average" })]
 *     [attention({ window: 8 }), lookUp({ best: 32, decay: 0.9 }), readAhead({ decay: 0.9 })]
 *
 * Scores are never negative, and the higher the better. A source leaves the last `window` rows of the prompt out: they are always
 * kept. Steps are plain data. What each of them checks and needs is in `steps/`, how the GPU computes it in
 * `compression/steps/`: a new step is one file in each, its kernel, and a line in the table of each.
 */
import type { PolicyContext } from "./context.ts";
import { type Attention, attentionRules } from "./steps/attention.ts";
import { type AttentionOfAll, attentionOfAllRules } from "./steps/attention_of_all.ts";
import { type KeyDifference, keyDifferenceRules } from "./steps/key_difference.ts";
import { type KeyNorm, keyNormRules } from "./steps/key_norm.ts";
import { type LookUp, lookUpRules } from "./steps/look_up.ts";
import { type Pool, poolRules } from "./steps/pool.ts";
import { type ReadAhead, readAheadRules } from "./steps/read_ahead.ts";
import { type Recency, recencyRules } from "./steps/recency.ts";
import { type SharedByHeads, sharedByHeadsRules } from "./steps/shared_by_heads.ts";
import type { ScoreNeeds, StepRules } from "./steps/step_rules.ts";
import { type ValueNorm, valueNormRules } from "./steps/value_norm.ts";

/** A step that gives scores. */
export type Source = Attention | AttentionOfAll | Recency | KeyNorm | KeyDifference;
/** A step that changes them. */
export type Modifier = SharedByHeads | ValueNorm | LookUp | ReadAhead | Pool;
export type Step = Source | Modifier;
/** A source, then modifiers. */
export type Score = readonly Step[];

/** The pure half of every step. */
const STEPS: { readonly [Name in Step["name"]]: StepRules<Extract<Step, { name: Name }>> } = {
  attention: attentionRules,
  attentionOfAll: attentionOfAllRules,
  recency: recencyRules,
  keyNorm: keyNormRules,
  keyDifference: keyDifferenceRules,
  sharedByHeads: sharedByHeadsRules,
  valueNorm: valueNormRules,
  lookUp: lookUpRules,
  readAhead: readAheadRules,
  pool: poolRules,
};

const NO_SCORE = "The policy compresses, but its score is no list of steps that begins with a source";

function rulesOf(step: Step): StepRules<Step> {
  return STEPS[step.name] as StepRules<Step>;
}

/**
 * The last rows of the prompt that a score leaves out and that are always kept.
 *
 * @throws {TypeError} if it is no list of steps that begins with a source
 */
export function windowOf(score: Score): number {
  const window = (score?.[0] as Source | undefined)?.window;
  if (window === undefined) throw new TypeError(NO_SCORE);
  return window;
}

/**
 * Checks what a policy returned as its score.
 *
 * @throws {TypeError} if it is no list of steps that begins with its only source
 * @throws {RangeError} if a parameter of a step is impossible for the prompt
 */
export function checkScore(score: unknown, context: PolicyContext): asserts score is Score {
  if (!Array.isArray(score) || score.length === 0) throw new TypeError(NO_SCORE);
  for (const [index, step] of score.entries()) {
    if (!Object.hasOwn(STEPS, step?.name)) {
      throw new TypeError(
        `There is no step "${step?.name}" of a score: expected one of ${Object.keys(STEPS).join(", ")}`,
      );
    }
    const expected = index === 0 ? "source" : "modifier";
    if (rulesOf(step).role !== expected) {
      throw new TypeError(
        `Step ${
          index + 1
        } of the score is ${step.name}, but a score is one source and then modifiers: expected one of ` +
          namesOf(expected).join(", "),
      );
    }
    rulesOf(step).check(step, context);
  }
}

function namesOf(role: StepRules<Step>["role"]): string[] {
  return Object.entries(STEPS).filter(([, rules]) => rules.role === role).map(([name]) => name);
}

/** What a score needs while a prompt is read. */
export function needsOf(score: Score): ScoreNeeds {
  const needs = score.map((step) => rulesOf(step).needs?.(step) ?? {});
  const isNeeded = (need: keyof ScoreNeeds) => needs.some((some) => some[need] === true);
  return {
    windowQueries: isNeeded("windowQueries"),
    attentionSums: isNeeded("attentionSums"),
    layerQueries: isNeeded("layerQueries"),
  };
}

/** Whether rows can be ranked by the score again, while tokens are generated. */
export function ranksAgain(score: Score): boolean {
  return score.every((step) => rulesOf(step).rankingAgain !== "impossible");
}

/** The score of rows that were ranked before, and so lie in order of rank: without the steps that look at neighbours. */
export function scoreAgain(score: Score): Score {
  return score.filter((step) => rulesOf(step).rankingAgain === "works");
}
