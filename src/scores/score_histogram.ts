/**
 * @file Histograms of attention scores, fine enough to share a model's budget without seeing the scores themselves.
 *
 * The bits of a positive f32, read as an integer, rise with its value. Their upper 14 bits (exponent and five bits of the
 * fraction) make 32 bins per octave, each about 2-3 % wide:
 *
 *     bin = clamp((bits >> BIN_SHIFT) - FIRST_KEY, 0, BIN_COUNT - 1)
 *
 * from 2^-24 up to 2^3: 864 bins, 3.4 KB a layer. Bin 0 also takes everything smaller, zero included; the last bin also
 * takes everything larger. The kernel that fills histograms on the GPU uses the same three numbers.
 */

/** Bits of an f32 that a bin does not look at. */
export const BIN_SHIFT = 18;
/** `bits(2^-24) >> BIN_SHIFT`: the key of bin 0. */
export const FIRST_KEY = (127 - 24) << (23 - BIN_SHIFT);
/** Bins up to, and without, `2^3`. */
export const BIN_COUNT = ((127 + 3) << (23 - BIN_SHIFT)) - FIRST_KEY;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The bin of a score, which must not be negative. It is rounded to f32 first. */
export function scoreBin(score: number): number {
  float[0] = score;
  return Math.min(Math.max((bits[0] >>> BIN_SHIFT) - FIRST_KEY, 0), BIN_COUNT - 1);
}

/** The smallest score of a bin. */
export function binLowerEdge(bin: number): number {
  if (bin === 0) return 0;
  bits[0] = (bin + FIRST_KEY) << BIN_SHIFT;
  return float[0];
}

/** Of each bin, as an f32 has it. */
const MIDDLES = Float64Array.from({ length: BIN_COUNT }, (_, bin) => (binLowerEdge(bin) + binLowerEdge(bin + 1)) / 2);

/** Counts scores by bin: `[BIN_COUNT]`. */
export function histogramOf(scores: Iterable<number>): Uint32Array {
  const histogram = new Uint32Array(BIN_COUNT);
  for (const score of scores) histogram[scoreBin(score)]++;
  return histogram;
}

/** The histogram of all scores that histograms count. */
export function sumOf(histograms: readonly Uint32Array[]): Uint32Array {
  const sum = new Uint32Array(BIN_COUNT);
  for (const histogram of histograms) {
    for (let bin = 0; bin < BIN_COUNT; bin++) sum[bin] += histogram[bin];
  }
  return sum;
}

/**
 * Entropy, in nats, of the counted scores divided by their sum. A score counts as the middle of its bin, at most 1.6 % from
 * it, which cancels but for the spread inside bins; bin 0 counts as 0. No scores have no entropy.
 */
export function histogramEntropy(histogram: Uint32Array): number {
  let sum = 0;
  let logs = 0;
  for (let bin = 1; bin < BIN_COUNT; bin++) {
    if (histogram[bin] === 0) continue;
    const score = MIDDLES[bin];
    sum += histogram[bin] * score;
    logs += histogram[bin] * score * Math.log(score);
  }
  // -sum p ln p with p = score / sum.
  return sum > 0 ? Math.max(0, Math.log(sum) - logs / sum) : 0;
}

/**
 * How deep below the highest bin one must go to pass a number of scores, in bins: the inverse of the count of scores above a
 * threshold. Inside a bin scores are taken to be evenly spread, so that a bin on the boundary is split in proportion.
 *
 * @returns A function from a number of scores to a depth in `[0, BIN_COUNT]`, not falling; `BIN_COUNT` where there are fewer
 */
export function scoreDepth(histogram: Uint32Array): (count: number) => number {
  const passed = new Float64Array(BIN_COUNT + 1);
  for (let depth = 0; depth < BIN_COUNT; depth++) passed[depth + 1] = passed[depth] + histogram[BIN_COUNT - 1 - depth];
  return (count) => {
    if (count >= passed[BIN_COUNT]) return BIN_COUNT;
    // The last depth that has not passed more than `count`.
    let low = 0;
    let high = BIN_COUNT;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (passed[middle] <= count) low = middle;
      else high = middle;
    }
    return low + (count - passed[low]) / (passed[low + 1] - passed[low]);
  };
}

/**
 * What the highest scores add up to. A score counts as the middle of its bin; bin 0 counts as 0, and a bin on the boundary is split in
 * proportion.
 *
 * @returns a function from a number of scores to their sum, not falling
 */
export function massOfHighest(histogram: Uint32Array): (count: number) => number {
  const depth = scoreDepth(histogram);
  const passed = new Float64Array(BIN_COUNT + 1);
  for (let below = 0; below < BIN_COUNT; below++) {
    const bin = BIN_COUNT - 1 - below;
    passed[below + 1] = passed[below] + (bin === 0 ? 0 : histogram[bin] * MIDDLES[bin]);
  }
  return (count) => {
    const at = depth(count);
    const whole = Math.floor(at);
    return whole === BIN_COUNT ? passed[BIN_COUNT] : passed[whole] + (at - whole) * (passed[whole + 1] - passed[whole]);
  };
}
