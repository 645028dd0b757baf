/**
 * @file Budgets: how many rows each layer may keep, from the user's number to whole blocks.
 */
import type { KvCacheChoice, MassBudget } from "../contract/generation.ts";
import { BLOCK_ROWS } from "./block.ts";

/** What `"auto"` stands for. */
export const AUTO_BUDGET: MassBudget = { mass: 0.98, max: "50%" };

/** Whether a budget is what keeps a share of the attention. */
export function isMassBudget(budget: KvCacheChoice["budget"]): budget is MassBudget {
  return typeof budget === "object";
}

/**
 * The budget of a prompt in rows, mean per layer, from what a user asked for: a number of rows (`512` or `"512"`), or a share
 * of the prompt (`"6.9%"`), rounded to the nearest row and at least 1. Of a budget by mass, the most that it can come to: less than
 * the prompt, so that rows are ranked.
 *
 * @throws {RangeError} If it is none of these
 */
export function parseBudget(budget: KvCacheChoice["budget"], promptLength: number): number {
  if (isMassBudget(budget)) {
    const { mass, max } = budget;
    if (!(mass > 0 && mass <= 1)) {
      throw new RangeError(`The mass that a KV budget keeps must be a number above 0 and up to 1, but is ${mass}`);
    }
    return Math.max(1, Math.min(parseBudget(max, promptLength), promptLength - 1));
  }
  const [, digits, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(String(budget).trim()) ?? [];
  const value = Number(digits);
  if (percent && value > 0 && value <= 100) return Math.max(1, Math.round(value / 100 * promptLength));
  if (!percent && Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(
    `The KV budget must be a positive whole number of rows per layer, such as 512, a share of the prompt above 0% and up ` +
      `to 100%, such as "6.9%", or "auto", but is ${JSON.stringify(budget)}`,
  );
}

/** Mean ranked rows per layer: what the observation window leaves of the budget, but at least one row. */
export function rankedBudget(budget: number, window: number): number {
  return Math.max(1, budget - window);
}

/** The verdict on a policy's allotment. */
export type CheckedBudgets =
  | { readonly ok: true; readonly rows: Uint32Array }
  | { readonly ok: false; readonly reason: string };

/**
 * Checks what a policy allotted: one whole number for each layer, or each of its heads, no more than are held there, no more
 * than `total` in all.
 *
 * @param held Ranked rows that each layer, or each head of each layer, holds
 * @param total Ranked rows that all of them together may keep
 * @param heads Budgets of each layer
 */
export function checkedBudgets(
  allotted: ArrayLike<number>,
  held: ArrayLike<number>,
  total: number,
  heads = 1,
): CheckedBudgets {
  const refuse = (reason: string): CheckedBudgets => ({ ok: false, reason });
  if (typeof allotted?.length !== "number") {
    return refuse("The policy must return an array of rows, one for each layer");
  }
  if (allotted.length !== held.length) {
    const wanted = heads === 1 ? `${held.length} layers` : `${heads} heads of ${held.length / heads} layers`;
    return refuse(`The policy returned ${allotted.length} budgets for ${wanted}`);
  }
  let sum = 0;
  for (let i = 0; i < held.length; i++) {
    const rows = allotted[i];
    const [unit, place] = heads === 1
      ? ["layer", `layer ${i}`]
      : ["head", `head ${i % heads} of layer ${Math.floor(i / heads)}`];
    if (!Number.isInteger(rows) || rows < 0) {
      return refuse(`The policy's budget of ${place} must be a whole number of rows, but is ${rows}`);
    }
    if (rows > held[i]) {
      return refuse(`The policy's budget of ${place} is ${rows} rows, but the ${unit} holds ${held[i]}`);
    }
    sum += rows;
  }
  if (sum > total) return refuse(`The policy's budgets add up to ${sum} rows, but ${total} are allowed`);
  return { ok: true, rows: Uint32Array.from(allotted) };
}

/**
 * Shares `total` rows among layers, block by block: the next block always goes to the layer for which its middle row ranks
 * first. The sum is exactly `total` unless all layers are full before; only the last block handed out may be cut short.
 *
 * This is Webster's method of apportionment. Rounding by largest remainder could take a block from one layer because
 * another joined and give it back later; here, whether a block is handed out depends only on what ranks before it. So
 * sharing the same total among more layers never gives any of them more, and cutting the layers as they arrive ends exactly
 * where sharing once among all of them does.
 *
 * @param caps Most rows of each layer
 * @param floors Rows that each layer gets before any other is served, where the total and its cap allow
 * @param rankOf Rank of a (fractional) row of a layer among the rows of all layers, lowest best; must not fall with the row
 * and must not depend on `caps` or `total`
 */
export function shareRows(
  total: number,
  caps: ArrayLike<number>,
  floors: ArrayLike<number>,
  rankOf: (layer: number, row: number) => number,
): Uint32Array {
  const rows = new Uint32Array(caps.length);
  /** Where the next piece of a layer ends: its floor is one piece, then every block. */
  const pieceEnd = (layer: number) =>
    rows[layer] < floors[layer] ? floors[layer] : (Math.floor(rows[layer] / BLOCK_ROWS) + 1) * BLOCK_ROWS;
  const rankOfPiece = (layer: number) =>
    rows[layer] < floors[layer] ? -Infinity : rankOf(layer, (rows[layer] + pieceEnd(layer)) / 2);

  const ranks = Float64Array.from(caps, (_, layer) => rankOfPiece(layer));
  for (let left = total; left > 0;) {
    let best = -1;
    for (let layer = 0; layer < rows.length; layer++) {
      if (rows[layer] >= caps[layer]) continue;
      const ahead = best < 0 || ranks[layer] < ranks[best] ||
        (ranks[layer] === ranks[best] && rows[layer] < rows[best]);
      if (ahead) best = layer;
    }
    if (best < 0) break;
    const granted = Math.min(pieceEnd(best), caps[best], rows[best] + left) - rows[best];
    rows[best] += granted;
    left -= granted;
    ranks[best] = rankOfPiece(best);
  }
  return rows;
}

/**
 * Shares `total` rows in proportion to weights, in whole blocks, within caps and floors; what a full layer cannot take goes
 * to the others. The sum is exactly `total` where the caps allow.
 */
export function roundToTotal(
  weights: ArrayLike<number>,
  total: number,
  caps: ArrayLike<number>,
  floors: ArrayLike<number> = new Uint32Array(weights.length),
): Uint32Array {
  return shareRows(total, caps, floors, (layer, row) => row / weights[layer]);
}

/**
 * Shares `total` rows in proportion to weights, to a row, within caps; what a full layer cannot take goes to the others in
 * proportion. The sum is exactly `total` where the caps allow. Weights that are all zero count as equal.
 */
export function proportionalRows(
  weights: ArrayLike<number>,
  total: number,
  caps: ArrayLike<number>,
): Uint32Array {
  const rows = new Uint32Array(caps.length);
  let open = Array.from(caps, (_, layer) => layer);
  let left = total;
  // A layer with no weight gets rows only once all others are full.
  while (open.length > 0 && left > 0) {
    let sum = open.reduce((sum, layer) => sum + weights[layer], 0);
    const weightOf = sum > 0 ? (layer: number) => weights[layer] : () => 1;
    if (sum === 0) sum = open.length;
    const share = (layer: number) => left * weightOf(layer) / sum;
    const full = open.filter((layer) => share(layer) >= caps[layer]);
    if (full.length === 0) {
      roundShares(open.map((layer) => ({ layer, share: share(layer) })), left, rows);
      break;
    }
    for (const layer of full) {
      rows[layer] = caps[layer];
      left -= caps[layer];
    }
    open = open.filter((layer) => !full.includes(layer));
  }
  return rows;
}

/** Rounds shares to rows that add up to `total`, by largest remainder. */
function roundShares(shares: { layer: number; share: number }[], total: number, rows: Uint32Array): void {
  let left = total;
  for (const { layer, share } of shares) left -= rows[layer] = Math.floor(share);
  const byRemainder = shares.sort((a, b) => b.share % 1 - a.share % 1);
  for (const { layer } of byRemainder.slice(0, left)) rows[layer]++;
}

/**
 * Rows, none of which is less than a floor or than what is held where that is less. What it takes for that comes from those that have
 * more, in proportion to what they have beyond it.
 */
export function withFloors(rows: Uint32Array, held: ArrayLike<number>, floor: number): Uint32Array {
  const floors = Array.from(rows, (_, i) => Math.min(floor, held[i]));
  const missing = floors.reduce((sum, least, i) => sum + Math.max(0, least - rows[i]), 0);
  if (missing === 0) return rows;
  const beyond = Array.from(rows, (count, i) => Math.max(0, count - floors[i]));
  const taken = proportionalRows(beyond, missing, beyond);
  return rows.map((count, i) => Math.max(count, floors[i]) - taken[i]);
}

/** The same number of rows for every layer or head, to a block; what some hold short of that goes to the others. */
export function uniformBudgets(held: ArrayLike<number>, total: number): Uint32Array {
  return roundToTotal(new Uint8Array(held.length).fill(1), total, held);
}
