/** @file The arithmetic of the reports. */

/** The middle value, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("Cannot take the median of no values");
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Floating-point operations of `y[m, n] = sum_k W[n, k] x[m, k]`: a multiplication and an addition for every k. */
export function productOperations(vectors: number, columns: number, rows: number): number {
  return 2 * vectors * columns * rows;
}

/** Operations of causal attention of `rows` new rows, the last of which sees `total`: scores and weighted values. */
export function attentionOperations(queryHeads: number, headSize: number, rows: number, total: number): number {
  const pairs = rows * (total - rows) + rows * (rows + 1) / 2;
  return 4 * queryHeads * headSize * pairs;
}

/** The largest difference of two arrays, as a share of the second one's root mean square. */
export function relativeDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let largest = 0;
  let squares = 0;
  for (let i = 0; i < expected.length; i++) {
    // Unlike a comparison, Math.max passes a NaN on.
    largest = Math.max(largest, Math.abs(actual[i] - expected[i]));
    squares += expected[i] ** 2;
  }
  return largest / Math.sqrt(squares / expected.length);
}
