/** @file The smallest budget that keeps a share of what all scores add up to, as a policy shares it. */
import { massOfHighest } from "../scores/score_histogram.ts";

/** A budget, and what comes of it. */
export interface SmallestBudget {
  /** Mean ranked rows per layer. */
  readonly base: number;
  /** Of each layer, or each of their heads. */
  readonly rows: Uint32Array;
  /** The share that they keep. */
  readonly kept: number;
}

/**
 * What share of the sum of all scores is kept by the best rows of each histogram.
 *
 * @param scoresOfRow scores that a row has in a histogram: of one of a layer, one for each KV head
 */
export function keptShare(
  histograms: readonly Uint32Array[],
  scoresOfRow: number,
): (rows: ArrayLike<number>) => number {
  const masses = histograms.map(massOfHighest);
  const sum = (rows: (unit: number) => number) => masses.reduce((sum, mass, unit) => sum + mass(rows(unit)), 0);
  const all = sum(() => Infinity);
  return (rows) => all > 0 ? sum((unit) => rows[unit] * scoresOfRow) / all : 1;
}

/**
 * Looks for the smallest budget by halving, as more of it never keeps less.
 *
 * @param mass the share to be kept
 * @param most the largest budget, and `rows` as it is shared: what it comes to if no smaller one is enough
 * @param allotted how a smaller budget is shared; `null` if the policy cannot
 * @param keptBy the share that rows keep
 */
export function smallestBudget(
  mass: number,
  most: number,
  rows: Uint32Array,
  allotted: (base: number) => Uint32Array | null,
  keptBy: (rows: Uint32Array) => number,
): SmallestBudget {
  let enough: SmallestBudget = { base: most, rows, kept: keptBy(rows) };
  if (enough.kept < mass) return enough;
  let tooFew = 0;
  while (enough.base - tooFew > 1) {
    const base = (enough.base + tooFew) >> 1;
    const rows = allotted(base);
    const kept = rows === null ? 0 : keptBy(rows);
    if (rows !== null && kept >= mass) enough = { base, rows, kept };
    else tooFew = base;
  }
  return enough;
}
