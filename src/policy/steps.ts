/**
 * @file A score is a list of steps: a source, which gives every row of a layer a number for each KV head, and modifiers, which
 * change these numbers one after the other.
 *
 *     [attention({ window: 8 }), pool({ width: 7, by: "average" })]
 *     [attention({ window: 8 }), lookUp({ best: 32, decay: 0.9 }), readAhead({ decay: 0.9 })]
 *
 * Scores are never negative in the end, and the higher the better. A source leaves the last `window` rows of the prompt out: they are always
 * kept. Steps are plain data. What each of them checks and needs is in `steps/`, how the GPU computes it in
 * `compression/steps/`: a new step is one file in each, its kernel, and a line in the table of each.
 */
import type { LayerContext, PolicyContext } from "./context.ts";
import { type Attention, attentionRules } from "./steps/attention.ts";
import { type AttentionOfAll, attentionOfAllRules } from "./steps/attention_of_all.ts";
import { type ChunkAttention, chunkAttentionRules } from "./steps/chunk_attention.ts";
import { type Clamp, clampRules } from "./steps/clamp.ts";
import { type FloorAtMean, floorAtMeanRules } from "./steps/floor_at_mean.ts";
import { type KeyDifference, keyDifferenceRules } from "./steps/key_difference.ts";
import { type KeyNorm, keyNormRules } from "./steps/key_norm.ts";
import { type Leverage, leverageRules } from "./steps/leverage.ts";
import { type Linear, linearRules } from "./steps/linear.ts";
import { type LookUp, lookUpRules } from "./steps/look_up.ts";
import { type Normalise, normaliseRules } from "./steps/normalise.ts";
import { type OnHost, onHostRules } from "./steps/on_host.ts";
import { type Plus, plusRules } from "./steps/plus.ts";
import { type Pool, poolRules } from "./steps/pool.ts";
import { type Positive, positiveRules } from "./steps/positive.ts";
import { type Protect, protectedRows, protectRules } from "./steps/protect.ts";
import { type ProtectLoudValues, protectLoudValuesRules } from "./steps/protect_loud_values.ts";
import { type Random, randomRules } from "./steps/random.ts";
import { type ReadAhead, readAheadRules } from "./steps/read_ahead.ts";
import { type Recency, recencyRules } from "./steps/recency.ts";
import { type Rehearsal, rehearsalRules } from "./steps/rehearsal.ts";
import { type SharedByHeads, sharedByHeadsRules } from "./steps/shared_by_heads.ts";
import type { HostInput, HostInputs, ScoreNeeds, StepRules } from "./steps/step_rules.ts";
import { type Threshold, thresholdRules } from "./steps/threshold.ts";
import { type Times, timesRules } from "./steps/times.ts";
import { type ValueNorm, valueNormRules } from "./steps/value_norm.ts";
import { type Wgsl, wgslRules } from "./steps/wgsl.ts";

/** A step that gives scores. */
export type Source =
  | Attention
  | AttentionOfAll
  | Recency
  | Random
  | KeyNorm
  | KeyDifference
  | ChunkAttention
  | Leverage
  | Rehearsal
  | Linear
  | OnHost
  | Wgsl;
/** A step that changes them. */
export type Modifier =
  | SharedByHeads
  | ValueNorm
  | LookUp
  | ReadAhead
  | Pool
  | Plus
  | Times
  | Normalise
  | FloorAtMean
  | Clamp
  | Threshold
  | Positive
  | ProtectLoudValues
  | Protect;
export type Step = Source | Modifier;
/** A source, then modifiers. */
export type Score = readonly Step[];

/** The pure half of every step. */
const STEPS: { readonly [Name in Step["name"]]: StepRules<Extract<Step, { name: Name }>> } = {
  attention: attentionRules,
  attentionOfAll: attentionOfAllRules,
  recency: recencyRules,
  random: randomRules,
  keyNorm: keyNormRules,
  keyDifference: keyDifferenceRules,
  chunkAttention: chunkAttentionRules,
  leverage: leverageRules,
  rehearsal: rehearsalRules,
  linear: linearRules,
  onHost: onHostRules,
  wgsl: wgslRules,
  sharedByHeads: sharedByHeadsRules,
  valueNorm: valueNormRules,
  lookUp: lookUpRules,
  readAhead: readAheadRules,
  pool: poolRules,
  plus: plusRules,
  times: timesRules,
  normalise: normaliseRules,
  floorAtMean: floorAtMeanRules,
  clamp: clampRules,
  threshold: thresholdRules,
  positive: positiveRules,
  protectLoudValues: protectLoudValuesRules,
  protect: protectRules,
};

const NO_SCORE = "The policy compresses, but its score is no list of steps that begins with a source";
/** Scores within scores, at most: each takes room for all rows of a layer. */
const DEEPEST = 4;

function rulesOf(step: Step): StepRules<Step> {
  return STEPS[step.name] as StepRules<Step>;
}

/** The score that is part of a step; undefined of most. */
export function nestedScore(step: Step): Score | undefined {
  return rulesOf(step).nested?.(step) as Score | undefined;
}

/** All steps of a score, those of scores within it before the steps that they are part of. */
export function allSteps(score: Score): Step[] {
  return score.flatMap((step) => [...allSteps(nestedScore(step) ?? []), step]);
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
 * @throws {RangeError} if a parameter of a step is impossible for the prompt, or its scores can be negative where they must not
 */
export function checkScore(score: unknown, context: PolicyContext): asserts score is Score {
  if (!canBeNegative(score, context, 0)) return;
  throw new RangeError(
    `The score can be negative in the end: put clamp({ least: 0 }), normalise({ by: "softmax" }) or positive() behind ` +
      (score as Score).at(-1)!.name,
  );
}

/** Checks a score all but its end, and says whether that can be negative. */
function canBeNegative(score: unknown, context: PolicyContext, depth: number): boolean {
  if (!Array.isArray(score) || score.length === 0) throw new TypeError(NO_SCORE);
  if (depth > DEEPEST) throw new RangeError(`Scores cannot be more than ${DEEPEST} deep within each other`);
  let negative = false;
  for (const [index, step] of score.entries()) {
    if (!Object.hasOwn(STEPS, step?.name)) {
      throw new TypeError(
        `There is no step "${step?.name}" of a score: expected one of ${Object.keys(STEPS).join(", ")}`,
      );
    }
    const rules = rulesOf(step);
    const expected = index === 0 ? "source" : "modifier";
    if (rules.role !== expected) {
      throw new TypeError(
        `Step ${
          index + 1
        } of the score is ${step.name}, but a score is one source and then modifiers: expected one of ` +
          namesOf(expected).join(", "),
      );
    }
    if (rules.isLast && (index < score.length - 1 || depth > 0)) {
      throw new TypeError(`Step ${index + 1} of the score is ${step.name}, which must be its last`);
    }
    rules.check(step, context);
    if (negative && !rules.takesNegative?.(step)) {
      throw new RangeError(
        `Step ${index + 1} of the score is ${step.name}, which takes scores of at least 0, but ${
          score[index - 1].name
        } can give ` +
          `negative ones: put positive() or clamp({ least: 0 }) between them`,
      );
    }
    const nested = rules.nested?.(step);
    const other = nested !== undefined && canBeNegative(nested, context, depth + 1);
    if (nested !== undefined) requireSameWindow(step, score, nested as Score);
    negative = rules.givesNegative?.(step, negative || other) ?? (negative || other);
  }
  return negative;
}

function requireSameWindow(step: Step, score: Score, nested: Score): void {
  const [own, other] = [windowOf(score), windowOf(nested)];
  if (own === other) return;
  throw new RangeError(`The score within ${step.name} must have the window of the others, ${own}, but has ${other}`);
}

function namesOf(role: StepRules<Step>["role"]): string[] {
  return Object.entries(STEPS).filter(([, rules]) => rules.role === role).map(([name]) => name);
}

/** What a score needs while a prompt is read. */
export function needsOf(score: Score): ScoreNeeds {
  const needs = allSteps(score).map((step) => rulesOf(step).needs?.(step) ?? {});
  const isNeeded = (need: keyof ScoreNeeds) => needs.some((some) => some[need] === true);
  return {
    windowQueries: isNeeded("windowQueries"),
    attentionSums: isNeeded("attentionSums"),
    layerQueries: isNeeded("layerQueries"),
    chunkScores: isNeeded("chunkScores"),
  };
}

/** Rows, of the `scored` ones, that a score keeps whatever their scores are. */
export function protectedRowsOf(score: Score, scored: number): number {
  const last = score.at(-1);
  return last?.name === "protect" ? protectedRows(last, scored) : 0;
}

/** Whether a score is a share of the attention, at most smoothed: see {@link StepRules.isAttention}. */
export function isAttention(score: Score): boolean {
  return allSteps(score).every((step) => rulesOf(step).isAttention?.(step) === true);
}

/** A step that has something computed on the host before it is recorded. */
export interface HostStep {
  readonly step: Step;
  readonly inputs: readonly HostInput[];
  /** Numbers for the device. @throws {Error} what the plugin throws, or if it returns nonsense */
  compute(inputs: HostInputs, context: LayerContext): Float32Array<ArrayBuffer>;
}

/** The steps of a score that have something computed on the host. */
export function hostStepsOf(score: Score): HostStep[] {
  return allSteps(score).flatMap((step) => {
    const { host } = rulesOf(step);
    if (host === undefined) return [];
    return [{ step, inputs: host.inputs(step), compute: (inputs, context) => host.compute(step, inputs, context) }];
  });
}

/** A score that an engine can never compute; the message follows the policy's name. */
export class NotRunnableError extends Error {
  override name = "NotRunnableError";
}

/**
 * A score without the kernels that plugins bring, for engines that cannot run them: what stands in for each takes its place.
 *
 * @throws {NotRunnableError} if nothing does
 */
export function withoutKernels(score: Score): Score {
  return score.map((step) => {
    if (step.name === "wgsl") {
      if (step.otherwise !== undefined) return step.otherwise as Step;
      throw new NotRunnableError("scores rows by WGSL alone, which needs a GPU, and this server computes on the CPU");
    }
    const nested = nestedScore(step);
    return nested === undefined ? step : rulesOf(step).withNested!(step, withoutKernels(nested));
  });
}

function rankingAgain(step: Step) {
  const { rankingAgain } = rulesOf(step);
  return typeof rankingAgain === "function" ? rankingAgain(step) : rankingAgain;
}

/** Whether rows can be ranked by the score again, while tokens are generated. */
export function ranksAgain(score: Score): boolean {
  return allSteps(score).every((step) => rankingAgain(step) !== "impossible");
}

/** The score of rows that were ranked before, and so lie in order of rank: without the steps that look at neighbours. */
export function scoreAgain(score: Score): Score {
  return score.filter((step) => rankingAgain(step) === "works").map((step) => {
    const nested = nestedScore(step);
    if (nested !== undefined) return rulesOf(step).withNested!(step, scoreAgain(nested));
    return rulesOf(step).inOrderOfRank?.(step) ?? step;
  });
}

/**
 * The score of generated rows, where those of the prompt are left alone: what of it can rank rows again, or what its source has in its
 * place; `null` where there is no such thing.
 */
export function scoreOfGenerated(score: Score): Score | null {
  const [source] = score;
  if (rankingAgain(source) !== "impossible") {
    return scoreAgain(score.filter((step) => ranksAgain([step])));
  }
  const otherwise = rulesOf(source).otherwiseGenerated?.(source);
  return otherwise === undefined ? null : [otherwise as Source];
}
