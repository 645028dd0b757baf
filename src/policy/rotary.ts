/** @file Rotation of vectors to positions, as keys and queries are rotated. */
import type { Rotary } from "./context.ts";

/**
 * The mean of heads rotated to each of `count` positions from `first` on. A dot product with a cached key, which is rotated to its own
 * position, is then the mean of those that the heads would have at these positions.
 *
 * @param heads `[head][headSize]`, not rotated
 */
export function meanRotated(
  heads: Float32Array,
  rotary: Rotary,
  first: number,
  count: number,
): Float32Array<ArrayBuffer> {
  const { frequencies, pairing } = rotary;
  const pairs = frequencies.length;
  const cosines = frequencies.map((frequency) => meanOf(count, (i) => Math.cos((first + i) * frequency)));
  const sines = frequencies.map((frequency) => meanOf(count, (i) => Math.sin((first + i) * frequency)));
  const rotated = new Float32Array(heads.length);
  for (let start = 0; start < heads.length; start += 2 * pairs) {
    for (let pair = 0; pair < pairs; pair++) {
      const a = start + (pairing === "adjacent" ? 2 * pair : pair);
      const b = pairing === "adjacent" ? a + 1 : a + pairs;
      rotated[a] = heads[a] * cosines[pair] - heads[b] * sines[pair];
      rotated[b] = heads[a] * sines[pair] + heads[b] * cosines[pair];
    }
  }
  return rotated;
}

function meanOf(count: number, value: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += value(i);
  return sum / count;
}
