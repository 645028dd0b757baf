/**
 * @file Sketches of keys: fewer numbers that keep lengths and angles about as they were, for arithmetic that grows with their square.
 *
 *     x[s] = sum over i of key[i] * sign(i, s) / sqrt(width)
 *
 * with signs by lot, the same for all rows. Keys that are no longer than a sketch are their own.
 */
import { mix } from "./row_lots.ts";

/** Most elements of a sketch, as published for Compactor. */
const WIDEST = 48;

/** Elements of the sketches of keys. */
export function sketchWidth(headSize: number): number {
  return Math.min(headSize, WIDEST);
}

/** What an element of a key counts in an element of its sketch. */
export function sketchWeight(headSize: number, element: number, place: number): number {
  const width = sketchWidth(headSize);
  if (width === headSize) return element === place ? 1 : 0;
  return (mix(element * width + place) & 1) === 1 ? 1 / Math.sqrt(width) : -1 / Math.sqrt(width);
}

/** Rows whose leverage is found together. */
export const LEVERAGE_CHUNK = 512;
/** What is added to the diagonal before it is inverted, as a share of its mean: so much that f32 is enough. */
export const LEVERAGE_RIDGE = 1e-2;
/** Rows that attend to each other. */
export const ATTENTION_CHUNK = 256;
