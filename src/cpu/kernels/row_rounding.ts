/**
 * @file Rows of f32 on their way into products of 8-bit weights, in WebAssembly's text format: what becomes of them first, and their
 * rounding to i16, each row by a scale of its own, padded with zeros.
 *
 *     rounded[k] = round(8191 v[k] / largest),  scale = largest / 8191,  largest = max |v[k]|
 *
 *     `$roundPlain`    v = x
 *     `$roundNormed`   v = x weight / sqrt(mean(x^2) + epsilon)      Zhang and Sennrich, RMSNorm, 2019
 *     `$roundGated`    v = x sigmoid(x) up, written over x           Shazeer, GLU Variants Improve Transformer, 2020
 *
 * Parameters: x f32 `[count]`; `bytes` of it, a multiple of 32; y i16 `[columns]`, `columnBytes` of it; scale f32. Also a norm's
 * weights f32 `[count]` and epsilon; `up` lies behind x.
 */
import { LARGEST_ELEMENT } from "./int8_product.ts";
import { exponential, exponentialConstants, exponentialLocals, largestLane, splat, sumOfLanes } from "./vectors.ts";

/** What the number of elements of a row must be a multiple of. */
export const ELEMENT_MULTIPLE = 8;

const at = (base: string, offset = 0) => `(v128.load offset=${offset} (i32.add (local.get $${base}) (local.get $at)))`;

/** A loop over vectors: `step` bytes at a time. */
const overRow = (label: string, step: number, body: string) => `
  (local.set $at (i32.const 0))
  (loop $${label}
    ${body}
    (br_if $${label} (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const ${step}))) (local.get $bytes))))`;

/** The last part of each: rounds what `value` gives of the vector at an offset from `$at`. */
function rounded(value: (offset: number) => string): string {
  const rounded = (offset: number) =>
    `(i32x4.relaxed_trunc_f32x4_s (f32x4.nearest (f32x4.mul ${value(offset)} (local.get $perScale))))`;
  return `
  (local.set $sum (v128.const i32x4 0 0 0 0))
  ${overRow("largest", 16, `(local.set $sum (f32x4.relaxed_max (local.get $sum) (f32x4.abs ${value(0)})))`)}
  (local.set $largest ${largestLane("(local.get $sum)")})
  (f32.store (local.get $scale) (f32.div (local.get $largest) (f32.const ${LARGEST_ELEMENT})))
  (local.set $perScale (f32x4.splat (select (f32.div (f32.const ${LARGEST_ELEMENT}) (local.get $largest)) (f32.const 0)
    (f32.gt (local.get $largest) (f32.const 0)))))
  ${
    overRow(
      "elements",
      32,
      `(v128.store (i32.add (local.get $y) (i32.shr_u (local.get $at) (i32.const 1)))
      (i16x8.narrow_i32x4_s ${rounded(0)} ${rounded(16)}))`,
    )
  }
  (local.set $at (i32.shr_u (local.get $bytes) (i32.const 1)))
  ;; At most half of the last columns that go together.
  (if (i32.lt_u (local.get $at) (local.get $columnBytes)) (then
    (v128.store (i32.add (local.get $y) (local.get $at)) (v128.const i32x4 0 0 0 0))))`;
}

const PARAMETERS = "(param $x i32) (param $bytes i32) (param $y i32) (param $columnBytes i32) (param $scale i32)";
const LOCALS = "(local $at i32) (local $sum v128) (local $largest f32) (local $perScale v128)";

export const ROUNDING_FUNCTIONS = `
(func $roundPlain ${PARAMETERS} ${LOCALS}
  ${rounded((offset) => at("x", offset))})

(func $roundNormed ${PARAMETERS} (param $weights i32) (param $epsilon f32) ${LOCALS} (local $factor v128)
  (local.set $sum (v128.const i32x4 0 0 0 0))
  ${overRow("squares", 16, `(local.set $sum (f32x4.add (local.get $sum) (f32x4.mul ${at("x")} ${at("x")})))`)}
  (local.set $factor (f32x4.splat (f32.div (f32.const 1) (f32.sqrt (f32.add (local.get $epsilon)
    (f32.div ${sumOfLanes("(local.get $sum)")}
      (f32.convert_i32_u (i32.shr_u (local.get $bytes) (i32.const 2)))))))))
  ${rounded((offset) => `(f32x4.mul (f32x4.mul ${at("x", offset)} (local.get $factor)) ${at("weights", offset)})`)})

(func $roundGated ${PARAMETERS} ${LOCALS} (local $up i32) (local $gate v128) (local $exp v128)
  (local $n v128) (local $p v128) ${exponentialLocals}
  ${exponentialConstants}
  (local.set $up (i32.add (local.get $x) (local.get $bytes)))
  ${
  overRow(
    "gates",
    16,
    `(local.set $gate ${at("x")})
    ${exponential("(f32x4.neg (f32x4.abs (local.get $gate)))", "exp", "n", "p")}
    ;; sigmoid(x) is 1 / (1 + e^-x), or e^x / (1 + e^x) where x is negative.
    (v128.store (i32.add (local.get $x) (local.get $at)) (f32x4.mul ${at("up")} (f32x4.mul (local.get $gate) (f32x4.div
      (v128.bitselect ${splat(1)} (local.get $exp) (f32x4.ge (local.get $gate) ${splat(0)}))
      (f32x4.add ${splat(1)} (local.get $exp))))))`,
  )
}
  ${rounded((offset) => at("x", offset))})`;
