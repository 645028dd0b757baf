/** @file Counts of the highest scores from histograms: how many of them lie in each. */
import { BIN_COUNT } from "./score_histogram.ts";

/**
 * How many of the `count` highest scores of all histograms lie in each of them. The bin on the boundary is split in
 * proportion, so that counts can be fractions; they add up to `count`, or to all scores where there are fewer.
 */
export function topCounts(histograms: readonly Uint32Array[], count: number): Float64Array {
  const counts = new Float64Array(histograms.length);
  let left = count;
  for (let bin = BIN_COUNT - 1; bin >= 0 && left > 0; bin--) {
    let inBin = 0;
    for (const histogram of histograms) inBin += histogram[bin];
    if (inBin === 0) continue;
    const share = Math.min(1, left / inBin);
    histograms.forEach((histogram, i) => counts[i] += share * histogram[bin]);
    left -= inBin;
  }
  return counts;
}
