/** @file How many rows at the end of a prompt a policy keeps if the request does not say. */

/** `rows`, or half the budget where that is less, so that something is left to rank; at least 1. */
export function defaultWindow(rows: number, budget: number): number {
  return Math.max(1, Math.min(rows, Math.floor(budget / 2)));
}
