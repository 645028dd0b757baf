/** @file The steps that bound, normalise and protect scores: see scores/row_formulas.ts. */
import { PROTECTED_SCORE } from "../../kernels/scoring/protect_rows.ts";
import {
  aboveThreshold,
  clamped,
  flooredAtMean,
  madePositive,
  shares,
  softmax,
  zScores,
} from "../../scores/row_formulas.ts";
import type { Clamp } from "../../policy/steps/clamp.ts";
import type { FloorAtMean } from "../../policy/steps/floor_at_mean.ts";
import type { Normalise } from "../../policy/steps/normalise.ts";
import type { Positive } from "../../policy/steps/positive.ts";
import type { Protect } from "../../policy/steps/protect.ts";
import type { Threshold } from "../../policy/steps/threshold.ts";
import type { CpuStep } from "./scored_rows.ts";

/** A step that makes new scores of those of each KV head. */
const byHead =
  <Step>(formula: (scores: Float32Array, step: Step) => ArrayLike<number>): CpuStep<Step> => (_rows, step, scores) =>
    scores.map((own) => Float32Array.from(formula(own, step)));

const NORMALISED: Record<Normalise["by"], (scores: Float32Array) => ArrayLike<number>> = {
  "z-score": zScores,
  sum: shares,
  softmax,
};

export const normalise = byHead<Normalise>((scores, { by }) => NORMALISED[by](scores));
export const floorAtMean = byHead<FloorAtMean>(flooredAtMean);
export const clamp = byHead<Clamp>((scores, { least, most }) => clamped(scores, least, most));
export const threshold = byHead<Threshold>((scores, { least }) => aboveThreshold(scores, least));
export const positive = byHead<Positive>(madePositive);

/** Gives protected rows a score that no other has. */
export const protect: CpuStep<Protect> = ({ scored }, { ranges }, scores) =>
  scores.map((own) => {
    const kept = own.slice();
    for (const { start, end } of ranges) kept.fill(PROTECTED_SCORE, Math.min(start, scored), Math.min(end, scored));
    return kept;
  });
