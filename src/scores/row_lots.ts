/**
 * @file Lots: a number of each row that has nothing to do with what the row holds, the same wherever and whenever it is drawn.
 *
 *     lot = mix(mix(key ^ kvHead) ^ row) / 2^32,   key = mix(mix(seed) ^ layer)
 *
 * to 24 bits, which an f32 holds exactly. `mix` is a hash of 32 bits (Chris Wellons' lowbias32), which kernels know as well.
 */

/** Turns the bits of a number into others that look like chance. */
export function mix(bits: number): number {
  let x = bits >>> 0;
  x = Math.imul(x ^ x >>> 16, 0x7feb352d);
  x = Math.imul(x ^ x >>> 15, 0x846ca68b);
  return (x ^ x >>> 16) >>> 0;
}

/** {@link mix} in WGSL. */
export const MIX = `
fn mix_bits(bits: u32) -> u32 {
  var x: u32 = bits;
  x = (x ^ (x >> 16u)) * 0x7feb352du;
  x = (x ^ (x >> 15u)) * 0x846ca68bu;
  return x ^ (x >> 16u);
}
`;

/** What the lots of a layer are drawn from. */
export function lotKey(seed: number, layer: number): number {
  return mix(mix(seed) ^ layer);
}

/** The lot of a row, in `[0, 1)`. */
export function rowLot(key: number, kvHead: number, row: number): number {
  return (mix(mix(key ^ kvHead) ^ row) >>> 8) / 2 ** 24;
}
