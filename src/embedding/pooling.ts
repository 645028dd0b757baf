/** @file From a vector for each token to one for the text, as sentence-transformers does it. */

/** How the tokens' vectors become one: their mean, their maxima, or the first's or the last's. */
export type Pooling = "mean" | "cls" | "max" | "lasttoken";

/**
 * @param states of one text: [tokens, dimensions], padding excluded
 * @returns [dimensions]
 */
export function pool(states: Float32Array, dimensions: number, pooling: Pooling): Float32Array<ArrayBuffer> {
  const tokens = states.length / dimensions;
  if (pooling === "cls") return states.slice(0, dimensions);
  if (pooling === "lasttoken") return states.slice((tokens - 1) * dimensions);
  const vector = states.slice(0, dimensions);
  for (let token = 1; token < tokens; token++) {
    for (let i = 0; i < dimensions; i++) {
      const value = states[token * dimensions + i];
      vector[i] = pooling === "max" ? Math.max(vector[i], value) : vector[i] + value;
    }
  }
  return pooling === "mean" ? vector.map((sum) => sum / tokens) : vector;
}

/** Scales a vector to length 1; one of zeros stays. */
export function normalise(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}
