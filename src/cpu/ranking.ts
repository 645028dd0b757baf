/** @file The rows with the highest scores. */

/** Positions of the `count` highest scores, highest first, ties by lower position. Scores must not be negative. */
export function bestRows(scores: Float32Array, count: number): Uint32Array {
  const bits = new Uint32Array(scores.buffer, scores.byteOffset, scores.length);
  // The bits of floats that are not negative rise with their value: both parts of a key fit into an f64's 53 bits.
  const keys = Float64Array.from(bits, (word, j) => (0xffffffff - word) * POSITIONS + j).sort();
  return Uint32Array.from(keys.subarray(0, count), (key) => key % POSITIONS);
}

/** More positions than any sequence has. */
const POSITIONS = 2 ** 21;
