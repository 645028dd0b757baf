/**
 * @file The scales of Q4_K, Q5_K and Q6_K: for each part of a block, a search for those that leave the least error.
 *
 * These are `make_qkx2_quants` and `make_qx_quants` of GGML's reference (ggml/src/ggml-quants.c), step by step: each sum is in
 * single precision and in the same order, so that blocks are equal to llama.cpp's to the bit.
 */

const { fround } = Math;

/** Parts whose values are all smaller than this are taken for zeros. */
export const LEAST_MAGNITUDE = 1e-15;

/** How the scale and minimum of a part are searched for: `steps + 1` numbers of levels, from `levels + first` on. */
export interface Search {
  /** The highest code. */
  readonly levels: number;
  readonly first: number;
  readonly steps: number;
}

const STEP = fround(0.1);

const weights = new Float32Array(32);
const codes = new Uint8Array(32);

/**
 * The scale and minimum of a part of 32 elements, `element = scale * code - minimum`.
 *
 * @param from where in `values` and in `best` the part begins
 * @param best receives the codes that go with them
 * @returns `minimum` is not negative: codes begin at or below zero
 */
export function searchScaleAndMinimum(
  values: Float32Array,
  from: number,
  { levels, first, steps }: Search,
  best: Uint8Array,
): { scale: number; minimum: number } {
  weigh(values, from);
  let minimum = values[from];
  let maximum = minimum;
  let weightSum = weights[0];
  let valueSum = fround(weights[0] * minimum);
  for (let i = 1; i < 32; i++) {
    const value = values[from + i];
    if (value < minimum) minimum = value;
    if (value > maximum) maximum = value;
    weightSum = fround(weightSum + weights[i]);
    valueSum = fround(valueSum + fround(weights[i] * value));
  }
  if (minimum > 0) minimum = 0;
  if (maximum === minimum) {
    best.fill(0, from, from + 32);
    return { scale: 0, minimum: -minimum };
  }

  /** Fills `codes` for a number of levels between the minimum, which is the best so far, and the maximum. */
  const encode = (count: number) => {
    const perScale = fround(count / fround(maximum - minimum));
    for (let i = 0; i < 32; i++) {
      const code = roundToEven(fround(perScale * fround(values[from + i] - minimum)));
      codes[i] = Math.max(0, Math.min(levels, code));
    }
    return perScale;
  };
  const errorOf = (scale: number, minimum: number) => {
    let error = 0;
    for (let i = 0; i < 32; i++) {
      const difference = fround(fround(fround(scale * codes[i]) + minimum) - values[from + i]);
      error = fround(error + fround(weights[i] * fround(difference * difference)));
    }
    return error;
  };

  let scale = fround(1 / encode(levels));
  best.set(codes, from);
  let leastError = errorOf(scale, minimum);
  for (let step = 0; step <= steps; step++) {
    encode(fround(fround(first + fround(STEP * step)) + levels));
    let codeSum = 0;
    let squareSum = 0;
    let productSum = 0;
    for (let i = 0; i < 32; i++) {
      const weighted = fround(weights[i] * codes[i]);
      codeSum = fround(codeSum + weighted);
      squareSum = fround(squareSum + fround(weighted * codes[i]));
      productSum = fround(productSum + fround(weighted * values[from + i]));
    }
    const determinant = fround(fround(weightSum * squareSum) - fround(codeSum * codeSum));
    if (!(determinant > 0)) continue;
    let newScale = fround(fround(fround(weightSum * productSum) - fround(valueSum * codeSum)) / determinant);
    let newMinimum = fround(fround(fround(squareSum * valueSum) - fround(codeSum * productSum)) / determinant);
    if (newMinimum > 0) {
      newMinimum = 0;
      newScale = fround(productSum / squareSum);
    }
    const error = errorOf(newScale, newMinimum);
    if (error < leastError) {
      best.set(codes, from);
      leastError = error;
      scale = newScale;
      minimum = newMinimum;
    }
  }
  return { scale, minimum: -minimum };
}

/** An element counts by its own magnitude and by the part's root mean square. */
function weigh(values: Float32Array, from: number): void {
  let squares = 0;
  for (let i = 0; i < 32; i++) squares = fround(squares + fround(values[from + i] * values[from + i]));
  const mean = fround(Math.sqrt(fround(squares / 32)));
  for (let i = 0; i < 32; i++) weights[i] = fround(mean + Math.abs(values[from + i]));
}

/**
 * The scale of a part of 16 elements around zero, `element = scale * (code - 32)`.
 *
 * @param from where in `values` and in `best` the part begins
 * @param best receives the codes that go with it
 */
export function searchScale(values: Float32Array, from: number, best: Uint8Array): number {
  let largest = 0;
  for (let i = from; i < from + 16; i++) if (Math.abs(values[i]) > Math.abs(largest)) largest = values[i];
  best.fill(0, from, from + 16);
  if (Math.abs(largest) < LEAST_MAGNITUDE) return 0;
  let scale = 0;
  let gain = 0;
  // The plain one first, which the others are compared with.
  for (const levels of LEVELS_AROUND_32) {
    const perScale = fround(-levels / largest);
    let productSum = 0;
    let squareSum = 0;
    for (let i = 0; i < 16; i++) {
      const value = values[from + i];
      const code = Math.max(-32, Math.min(31, roundToEven(fround(perScale * value))));
      const weight = fround(value * value);
      codes[i] = code + 32;
      productSum = fround(productSum + fround(fround(weight * value) * code));
      squareSum = fround(squareSum + fround(fround(weight * code) * code));
    }
    const isFirst = levels === 32;
    if (!isFirst && !(squareSum > 0 && fround(productSum * productSum) > fround(gain * squareSum))) continue;
    best.set(codes.subarray(0, 16), from);
    scale = squareSum > 0 ? fround(productSum / squareSum) : 0;
    gain = fround(scale * productSum);
  }
  return scale;
}

/** 32, then 31.1 to 32.9. */
const LEVELS_AROUND_32 = [0, ...[-9, -8, -7, -6, -5, -4, -3, -2, -1], ...[1, 2, 3, 4, 5, 6, 7, 8, 9]].map((step) =>
  fround(32 + fround(STEP * step))
);

/** To the nearest whole number, halves to even ones; for single-precision numbers below 2^22. */
export function roundToEven(value: number): number {
  return fround(value + 12582912) - 12582912;
}
