/**
 * @file What the steps that combine, normalise and bound scores compute, of the scores of one KV head: plain functions, by which
 * every device is measured. Sums are of f64.
 */

/** `(s - mean) / deviation` (of all, not of a sample); 0 everywhere if all scores are the same. */
export function zScores(scores: ArrayLike<number>): Float64Array {
  const { length } = scores;
  const mean = sumOf(scores) / length;
  const deviation = Math.sqrt(sumOf(Array.from(scores, (score) => (score - mean) ** 2)) / length);
  return Float64Array.from(scores, (score) => deviation > 0 ? (score - mean) / deviation : 0);
}

/** `s / sum`; scores that are all 0 stay so. */
export function shares(scores: ArrayLike<number>): Float64Array {
  const sum = sumOf(scores);
  return Float64Array.from(scores, (score) => sum > 0 ? score / sum : 0);
}

/** `exp(s) / sum of exp`. */
export function softmax(scores: ArrayLike<number>): Float64Array {
  const most = Array.from(scores).reduce((a, b) => Math.max(a, b), -Infinity);
  return shares(Array.from(scores, (score) => Math.exp(score - most)));
}

/** `max(s, mean)`: nothing falls below the mean. */
export function flooredAtMean(scores: ArrayLike<number>): Float64Array {
  const mean = sumOf(scores) / scores.length;
  return Float64Array.from(scores, (score) => Math.max(score, mean));
}

/** `min(max(s, least), most)`. */
export function clamped(scores: ArrayLike<number>, least: number, most: number): Float64Array {
  return Float64Array.from(scores, (score) => Math.min(Math.max(score, least), most));
}

/** Scores below `least` become 0. */
export function aboveThreshold(scores: ArrayLike<number>, least: number): Float64Array {
  return Float64Array.from(scores, (score) => score >= least ? score : 0);
}

/** `(s + sqrt(s^2 + 4)) / 2`: never negative, in the same order, 1 for 0, about `s` for large and `-1 / s` for very negative ones. */
export function madePositive(scores: ArrayLike<number>): Float64Array {
  return Float64Array.from(scores, (score) => {
    const root = Math.sqrt(score * score + 4);
    // The same twice: where the score is negative, the difference would lose its digits.
    return score >= 0 ? (score + root) / 2 : 2 / (root - score);
  });
}

/** `a + weight * b`. */
export function weightedSum(a: ArrayLike<number>, b: ArrayLike<number>, weight: number): Float64Array {
  return Float64Array.from(a, (score, i) => score + weight * b[i]);
}

/** `a * b`. */
export function product(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
  return Float64Array.from(a, (score, i) => score * b[i]);
}

/**
 * `vector . key + sum over pairs of magnitudes * |pair of the key|`, of every key of a KV head.
 *
 * @param keys `[row][headSize]`
 * @param vector `[headSize]` @param magnitudes `[headSize / 2]`
 * @param pairing which two elements are a rotary pair: (2i, 2i + 1), or (i, i + headSize / 2)
 */
export function linearScores(
  keys: ArrayLike<number>,
  vector: ArrayLike<number>,
  magnitudes: ArrayLike<number>,
  pairing: "adjacent" | "halves",
): Float64Array {
  const headSize = vector.length;
  return Float64Array.from({ length: keys.length / headSize }, (_, row) => {
    const at = (element: number) => keys[row * headSize + element];
    let score = 0;
    for (let i = 0; i < headSize; i++) score += vector[i] * at(i);
    for (let pair = 0; pair < headSize / 2; pair++) {
      const [a, b] = pairing === "adjacent" ? [2 * pair, 2 * pair + 1] : [pair, pair + headSize / 2];
      score += magnitudes[pair] * Math.hypot(at(a), at(b));
    }
    return score;
  });
}

function sumOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
}
