/** @file Leverage of keys in plain arithmetic: the formula is in kernels/scoring/leverage_scores.ts. */
import { LEVERAGE_RIDGE, sketchWeight, sketchWidth } from "./sketch.ts";

/**
 * The leverage of each key among those given, in f64.
 *
 * @param keys `[row][headSize]`, not rotated
 */
export function leverageOf(keys: ArrayLike<number>, headSize: number): Float64Array {
  const width = sketchWidth(headSize);
  const count = keys.length / headSize;
  const sketches = centred(sketched(keys, headSize, width), width);
  const factor = choleskyOf(sketches, width);
  const solved = new Float64Array(width);
  return Float64Array.from({ length: count }, (_, row) => {
    let score = 0;
    for (let i = 0; i < width; i++) {
      let left = sketches[row * width + i];
      for (let j = 0; j < i; j++) left -= factor[i * width + j] * solved[j];
      solved[i] = left / factor[i * width + i];
      score += solved[i] ** 2;
    }
    return score;
  });
}

function sketched(keys: ArrayLike<number>, headSize: number, width: number): Float64Array {
  if (width === headSize) return Float64Array.from(keys);
  const weights = Float64Array.from(
    { length: headSize * width },
    (_, i) => sketchWeight(headSize, Math.floor(i / width), i % width),
  );
  const result = new Float64Array(keys.length / headSize * width);
  for (let row = 0; row < keys.length / headSize; row++) {
    for (let i = 0; i < headSize; i++) {
      const element = keys[row * headSize + i];
      for (let s = 0; s < width; s++) result[row * width + s] += element * weights[i * width + s];
    }
  }
  return result;
}

function centred(rows: Float64Array, width: number): Float64Array {
  const count = rows.length / width;
  for (let s = 0; s < width; s++) {
    let mean = 0;
    for (let row = 0; row < count; row++) mean += rows[row * width + s] / count;
    for (let row = 0; row < count; row++) rows[row * width + s] -= mean;
  }
  return rows;
}

/** L of the rows' products and the ridge, `[width][width]`, its lower triangle. */
function choleskyOf(rows: Float64Array, width: number): Float64Array {
  const products = new Float64Array(width * width);
  for (let at = 0; at < rows.length; at += width) {
    for (let a = 0; a < width; a++) {
      for (let b = 0; b <= a; b++) products[a * width + b] += rows[at + a] * rows[at + b];
    }
  }
  let trace = 0;
  for (let i = 0; i < width; i++) trace += products[i * (width + 1)];
  for (let i = 0; i < width; i++) products[i * (width + 1)] += trace > 0 ? trace * LEVERAGE_RIDGE / width : 1;
  for (let column = 0; column < width; column++) {
    for (let j = 0; j < column; j++) {
      for (let a = column; a < width; a++) {
        products[a * width + column] -= products[a * width + j] * products[column * width + j];
      }
    }
    const root = Math.sqrt(products[column * (width + 1)]);
    for (let a = column; a < width; a++) products[a * width + column] /= root;
  }
  return products;
}
