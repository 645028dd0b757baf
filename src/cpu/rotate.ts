/** @file Query and key norms and rotary position embedding of one row, in place. */
import type { ModelConfig } from "../architecture/config.ts";
import type { Rotary } from "../policy/context.ts";
import type { QueryKeyNorms } from "./products/products.ts";

/**
 * Normalises and rotates the query and key heads of a row.
 *
 * @param rows where the row is, from element `at` on: `[queryHeads + 2 kvHeads, headSize]`
 * @param table `[positions, headSize / 2, 2]`: cosines and sines
 */
export function rotateRow(
  rows: Float32Array,
  at: number,
  position: number,
  table: Float32Array,
  { queryHeadCount, kvHeadCount, headSize, rmsNormEpsilon, rope }: ModelConfig,
  { queryNorm, keyNorm }: QueryKeyNorms,
): void {
  const half = headSize / 2;
  const angles = position * headSize;
  const [step, distance] = rope.pairing === "adjacent" ? [2, 1] : [1, half];
  for (let head = 0; head < queryHeadCount + kvHeadCount; head++) {
    const first = at + head * headSize;
    const norm = head < queryHeadCount ? queryNorm : keyNorm;
    if (norm !== null) normalise(rows, first, norm, rmsNormEpsilon);
    for (let i = 0; i < half; i++) {
      const a = first + i * step;
      const b = a + distance;
      const x = rows[a];
      const y = rows[b];
      const cosine = table[angles + 2 * i];
      const sine = table[angles + 2 * i + 1];
      rows[a] = x * cosine - y * sine;
      rows[b] = x * sine + y * cosine;
    }
  }
}

/**
 * Turns a head that has been rotated on by some positions, in place.
 *
 * @param at its first element
 * @param table as {@link rotateRow}'s
 */
export function turnOn(
  heads: Float32Array,
  at: number,
  positions: number,
  table: Float32Array,
  headSize: number,
  pairing: Rotary["pairing"],
): void {
  const half = headSize / 2;
  const angles = positions * headSize;
  const [step, distance] = pairing === "adjacent" ? [2, 1] : [1, half];
  for (let i = 0; i < half; i++) {
    const a = at + i * step;
    const b = a + distance;
    const x = heads[a];
    const y = heads[b];
    // The table's lengths are not 1 where a model lengthens what it rotates: the head has been lengthened already.
    const length = Math.hypot(table[angles + 2 * i], table[angles + 2 * i + 1]);
    const cosine = table[angles + 2 * i] / length;
    const sine = table[angles + 2 * i + 1] / length;
    heads[a] = x * cosine - y * sine;
    heads[b] = x * sine + y * cosine;
  }
}

function normalise(rows: Float32Array, first: number, norm: Float32Array, epsilon: number): void {
  let squares = 0;
  for (let i = 0; i < norm.length; i++) squares += rows[first + i] ** 2;
  const scale = 1 / Math.sqrt(squares / norm.length + epsilon);
  for (let i = 0; i < norm.length; i++) rows[first + i] *= scale * norm[i];
}
