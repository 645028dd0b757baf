/** @file What kernels in WebAssembly's text format share: constants, sums over lanes and the exponential. */

export const splat = (value: number) => `(v128.const f32x4 ${Array(4).fill(value).join(" ")})`;

export const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** A vector of 32-bit lanes 0 to 7 of two. */
export const lanes = (wanted: readonly number[], one: string, other: string) =>
  `(i8x16.shuffle ${wanted.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte)).join(" ")} ${one} ${other})`;

/** An operation on two f32, over the four lanes of a local. */
const overLanes = (operator: string, vector: string) =>
  `(${operator}
    (${operator} (f32x4.extract_lane 0 ${vector}) (f32x4.extract_lane 1 ${vector}))
    (${operator} (f32x4.extract_lane 2 ${vector}) (f32x4.extract_lane 3 ${vector})))`;

export const sumOfLanes = (vector: string) => overLanes("f32.add", vector);
export const largestLane = (vector: string) => overLanes("f32.max", vector);

/** 1/6!, ..., 1/0!: the polynomial's coefficients, the highest first. */
const COEFFICIENTS = [720, 120, 24, 6, 2, 1, 1].map((factorial) => 1 / factorial);

/** What the exponential needs, by name. They lie in locals, set before a loop: constants within it would take half of its time. */
const CONSTANTS: Record<string, string> = {
  // Below, the result is no normal number any more.
  least: splat(-87),
  perLn2: splat(Math.LOG2E),
  // Added to a number and taken away again, it rounds it; between the two, the last bits are a whole number's.
  rounding: splat(1.5 * 2 ** 23),
  ln2High: splat(-0.693359375),
  ln2Low: splat(2.12194440e-4),
  ...Object.fromEntries(COEFFICIENTS.map((coefficient, i) => [`c${i}`, splat(coefficient)])),
};

/** Declares the constants of {@link exponential} as locals of a function, and gives them their values. */
export const exponentialLocals = Object.keys(CONSTANTS).map((name) => `(local $${name} v128)`).join(" ");
export const exponentialConstants = Object.entries(CONSTANTS).map(([name, value]) => `(local.set $${name} ${value})`)
  .join("\n  ");

/**
 * Puts the exponential of `value`, of numbers that are not positive, in the local `x`, and uses locals `n` and `p`:
 *
 *     exp(x) = 2^n e^r,  n = round(x / ln 2),  r = x - n ln 2 in two parts,  e^r by a polynomial of degree 6
 */
export function exponential(value: string, x: string, n: string, p: string): string {
  const get = (local: string) => `(local.get $${local})`;
  return `
  (local.set $${x} (f32x4.relaxed_max ${value} ${get("least")}))
  (local.set $${n} (f32x4.relaxed_madd ${get(x)} ${get("perLn2")} ${get("rounding")}))
  (local.set $${p} (f32x4.sub ${get(n)} ${get("rounding")}))
  (local.set $${x} (f32x4.relaxed_madd ${get(p)} ${get("ln2High")} ${get(x)}))
  (local.set $${x} (f32x4.relaxed_madd ${get(p)} ${get("ln2Low")} ${get(x)}))
  (local.set $${p} ${get("c0")})
  ${
    COEFFICIENTS.slice(1).map((_, i) => `
  (local.set $${p} (f32x4.relaxed_madd ${get(p)} ${get(x)} ${get(`c${i + 1}`)}))`).join("")
  }
  ;; n more in the exponent.
  (local.set $${x} (i32x4.add ${get(p)} (i32x4.shl ${get(n)} (i32.const 23))))`;
}
