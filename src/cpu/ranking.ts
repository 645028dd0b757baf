/** @file The rows with the highest scores. */

/** Positions of the `count` highest scores, highest first, ties by lower position. Scores must not be negative. */
export function bestRows(scores: Float32Array, count: number): Uint32Array {
  const bits = new Uint32Array(scores.buffer, scores.byteOffset, scores.length);
  // The bits of floats that are not negative rise with their value: both parts of a key fit into an f64's 53 bits.
  const keys = new Float64Array(bits.length);
  for (let j = 0; j < keys.length; j++) keys[j] = (0xffffffff - bits[j]) * POSITIONS + j;
  keys.sort();
  const best = new Uint32Array(Math.min(count, keys.length));
  for (let rank = 0; rank < best.length; rank++) best[rank] = keys[rank] % POSITIONS;
  return best;
}

/** More positions than any sequence has. */
const POSITIONS = 2 ** 21;
