/** @file Counts of the highest scores from histograms, where each of them has a floor and can only have so many. */
import { BIN_COUNT } from "./score_histogram.ts";

/**
 * How many of the `count` highest scores of all histograms lie in each of them, but no more than `caps` and no less than `floors`,
 * where the caps allow: what one cannot take goes to the next best of the others. The bin on the boundary is split in proportion, so
 * that counts can be fractions; they add up to `count`, or to all caps where these are fewer.
 *
 * The more histograms there are, the fewer scores of each count: among those of a model's first layers no fewer than among all.
 *
 * @param caps such as rows held, which are those of the highest scores; no more than a histogram counts
 * @param floors no more than `count` in all
 */
export function heldTopCounts(
  histograms: readonly Uint32Array[],
  caps: ArrayLike<number>,
  floors: ArrayLike<number>,
  count: number,
): Float64Array {
  const counts = Float64Array.from(histograms, (_, i) => Math.min(floors[i], caps[i]));
  const above = new Float64Array(histograms.length);
  const wanted = new Float64Array(histograms.length);
  let left = count - counts.reduce((sum, rows) => sum + rows, 0);
  for (let bin = BIN_COUNT - 1; bin >= 0 && left > 0; bin--) {
    let more = 0;
    for (let i = 0; i < histograms.length; i++) {
      above[i] += histograms[i][bin];
      wanted[i] = Math.max(0, Math.min(above[i], caps[i]) - counts[i]);
      more += wanted[i];
    }
    if (more === 0) continue;
    const share = Math.min(1, left / more);
    for (let i = 0; i < histograms.length; i++) counts[i] += share * wanted[i];
    left -= more;
  }
  return counts;
}
