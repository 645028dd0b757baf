/** @file Rounding as Python's `round` does it. */

/** `value`, 0 or more, to this many decimal places; what lies exactly half-way goes to the even neighbour. */
export function roundHalfEven(value: number, decimals: 0 | 2): number {
  const scaled = value * 10 ** decimals;
  // Half-way in decimals and exact in binary: only eighths are.
  if (scaled % 1 === 0.5 && Number.isInteger(value * 8)) {
    return 2 * Math.round(scaled / 2) / 10 ** decimals;
  }
  return Number(value.toFixed(decimals));
}
