/** @file How large a prompt may be made for a length in tokens. */

/**
 * The largest size that fits, by doubling and halving; undefined if not even `smallest` does.
 *
 * @param fits true up to some size and false from there on
 */
export function largestFitting(smallest: number, fits: (size: number) => boolean): number | undefined {
  if (!fits(smallest)) return undefined;
  let good = smallest;
  let bad = 2 * smallest;
  while (fits(bad)) [good, bad] = [bad, 2 * bad];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (fits(middle)) good = middle;
    else bad = middle;
  }
  return good;
}
