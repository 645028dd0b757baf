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

/**
 * `$exp`: of numbers that are not positive.
 *
 *     exp(x) = 2^n e^r,  n = round(x / ln 2),  r = x - n ln 2 in two parts,  e^r by a polynomial of degree 6
 */
export const EXP_FUNCTION = `
(func $exp (param $x v128) (result v128) (local $n v128) (local $p v128)
  ;; Below, the result is no normal number any more.
  (local.set $x (f32x4.relaxed_max (local.get $x) ${splat(-87)}))
  (local.set $n (f32x4.nearest (f32x4.mul (local.get $x) ${splat(Math.LOG2E)})))
  (local.set $x (f32x4.relaxed_madd (local.get $n) ${splat(-0.693359375)} (local.get $x)))
  (local.set $x (f32x4.relaxed_madd (local.get $n) ${splat(2.12194440e-4)} (local.get $x)))
  (local.set $p ${splat(COEFFICIENTS[0])})
  ${
  COEFFICIENTS.slice(1).map((coefficient) => `
  (local.set $p (f32x4.relaxed_madd (local.get $p) (local.get $x) ${splat(coefficient)}))`).join("")
}
  (f32x4.mul (local.get $p) (i32x4.shl
    (i32x4.add (i32x4.relaxed_trunc_f32x4_s (local.get $n)) (v128.const i32x4 127 127 127 127)) (i32.const 23))))`;
