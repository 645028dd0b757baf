/** @file The steps that change the scores of each KV head by themselves; see scores/row_formulas.ts. */
import type { Clamp } from "../../policy/steps/clamp.ts";
import type { FloorAtMean } from "../../policy/steps/floor_at_mean.ts";
import type { Normalise } from "../../policy/steps/normalise.ts";
import type { Positive } from "../../policy/steps/positive.ts";
import type { Protect } from "../../policy/steps/protect.ts";
import type { ProtectLoudValues } from "../../policy/steps/protect_loud_values.ts";
import type { Threshold } from "../../policy/steps/threshold.ts";
import {
  aboveThreshold,
  clamped,
  flooredAtMean,
  madePositive,
  shares,
  softmax,
  zScores,
} from "../../scores/row_formulas.ts";
import { PROTECTED_SCORE } from "../../scores/limits.ts";
import type { CpuStep } from "./scored_rows.ts";
import { valueNorms } from "./value_norm.ts";

const byHead =
  <Step>(formula: (scores: Float32Array, step: Step) => Float64Array): CpuStep<Step> => (_rows, step, scores) =>
    scores.map((own) => Float32Array.from(formula(own, step)));

const WAYS = { "z-score": zScores, sum: shares, softmax } as const;

export const normaliseScores = byHead<Normalise>((scores, { by }) => WAYS[by](scores));
export const floorAtMean = byHead<FloorAtMean>((scores) => flooredAtMean(scores));
export const clampScores = byHead<Clamp>((scores, { least, most }) => clamped(scores, least, most));
export const dropBelow = byHead<Threshold>((scores, { least }) => aboveThreshold(scores, least));
export const makePositive = byHead<Positive>((scores) => madePositive(scores));

/** Protected rows rank before all others. */
export const protectRows: CpuStep<Protect> = (_rows, { ranges }, scores) =>
  scores.map((own) => {
    const result = own.slice();
    for (const { start, end } of ranges) result.fill(PROTECTED_SCORE, start, end);
    return result;
  });

/** Rows with very large values as well. */
export const protectLoudValues: CpuStep<ProtectLoudValues> = (rows, { times }, scores) =>
  scores.map((own, head) => {
    const norms = valueNorms(rows, head);
    const mean = norms.reduce((sum, norm) => sum + norm, 0) / norms.length;
    return own.map((score, j) => norms[j] > times * mean ? PROTECTED_SCORE : score);
  });
