/**
 * @file Exact counts of the highest scores, without sorting them.
 */

const HALF = 1 << 16;

/**
 * How many of the `count` highest scores of all layers lie in each layer. Equal scores on the boundary are taken from the
 * first layers. If there are fewer scores than `count`, all are taken.
 *
 * Selects the boundary score by its bits, upper half first, since the bits of f32 numbers that are not negative rise with
 * their value.
 *
 * @param layers Scores of each layer, in any order
 * @throws {RangeError} If a score is negative or not a number
 */
export function exactTopCounts(layers: readonly Float32Array[], count: number): Float64Array {
  const words = layers.map((scores) => new Uint32Array(scores.buffer, scores.byteOffset, scores.length));
  const upper = new Uint32Array(HALF);
  words.forEach((layer, index) => {
    for (let i = 0; i < layer.length; i++) {
      if (layer[i] > 0x7f800000) {
        throw new RangeError(`Score ${i} of layer ${index} must be a number of at least 0, but is ${layers[index][i]}`);
      }
      upper[layer[i] >>> 16]++;
    }
  });
  const upperBoundary = boundaryOf(upper, count);
  if (upperBoundary === null) return Float64Array.from(layers, (scores) => scores.length);

  const lower = new Uint32Array(HALF);
  for (const layer of words) {
    for (let i = 0; i < layer.length; i++) {
      if (layer[i] >>> 16 === upperBoundary.key) lower[layer[i] & (HALF - 1)]++;
    }
  }
  // Never null: the boundary's own key holds more scores than are left to take.
  const lowerBoundary = boundaryOf(lower, upperBoundary.left)!;
  const boundary = upperBoundary.key * HALF + lowerBoundary.key;

  let ties = lowerBoundary.left;
  return Float64Array.from(words, (layer) => {
    let above = 0;
    let equal = 0;
    for (let i = 0; i < layer.length; i++) {
      if (layer[i] > boundary) above++;
      else if (layer[i] === boundary) equal++;
    }
    const taken = Math.min(equal, ties);
    ties -= taken;
    return above + taken;
  });
}

/** The key, from the highest, at which more than `count` are counted, and how many are left to take there. */
function boundaryOf(counts: Uint32Array, count: number): { key: number; left: number } | null {
  let left = count;
  for (let key = counts.length - 1; key >= 0; key--) {
    if (counts[key] > left) return { key, left };
    left -= counts[key];
  }
  return null;
}
