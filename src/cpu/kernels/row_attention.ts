/**
 * @file Attention of one row's query heads to the rows that a KV head holds, in WebAssembly's text format:
 *
 *     output[h] = sum over j of  softmax_j(query[h] . key[j] / sqrt(headSize)) value[j]
 *
 * The query heads of a group are taken one after the other, in three walks over the rows: logits and their maximum, exponentials and
 * their sum, values. A single row is too little work for onnxruntime's operators, of which this would take four.
 */
import { exponential, exponentialConstants, exponentialLocals, sumOfLanes } from "./vectors.ts";

/** What head sizes must be a multiple of: two vectors. */
export const HEAD_MULTIPLE = 8;

/** Words of what is to be done for one KV head; addresses in bytes. */
export const ATTENTION_RECORD = {
  /** f32 `[query heads of the group][headSize]`. */
  queries: 0,
  /** f32 `[rows][headSize]`. */
  keys: 1,
  values: 2,
  rows: 3,
  /** f32 `[rows, rounded up to a whole vector]`, to work in. */
  scores: 4,
  /** f32 `[query heads of the group][headSize]`. */
  output: 5,
} as const;
export const ATTENTION_RECORD_WORDS = 8;

const field = (name: keyof typeof ATTENTION_RECORD) =>
  `(i32.load offset=${4 * ATTENTION_RECORD[name]} (local.get $record))`;
/** `$attend`: one record. `group` query heads; `size` is a row's bytes, a multiple of 32. */
export const ATTENTION_FUNCTIONS = `
(func $attend (param $record i32) (param $group i32) (param $size i32) (param $scale f32)
  (local $query i32) (local $key i32) (local $value i32) (local $score i32) (local $scoresEnd i32) (local $paddedEnd i32)
  (local $output i32) (local $at i32) (local $max f32) (local $logit f32) (local $inverse f32)
  (local $a v128) (local $b v128) (local $weight v128) (local $maxima v128) (local $n v128) (local $p v128)
  ${exponentialLocals}
  ${exponentialConstants}
  (local.set $query ${field("queries")})
  (local.set $output ${field("output")})
  (local.set $scoresEnd (i32.add ${field("scores")} (i32.shl ${field("rows")} (i32.const 2))))
  (local.set $paddedEnd (i32.add ${field("scores")}
    (i32.and (i32.add (i32.shl ${field("rows")} (i32.const 2)) (i32.const 12)) (i32.const -16))))
  (loop $heads
    (local.set $key ${field("keys")})
    (local.set $score ${field("scores")})
    (local.set $max (f32.const -3e38))
    (loop $logits
      (local.set $a (v128.const i32x4 0 0 0 0))
      (local.set $b (v128.const i32x4 0 0 0 0))
      (local.set $at (i32.const 0))
      (loop $dot
        (local.set $a (f32x4.relaxed_madd
          (v128.load (i32.add (local.get $query) (local.get $at))) (v128.load (i32.add (local.get $key) (local.get $at)))
          (local.get $a)))
        (local.set $b (f32x4.relaxed_madd
          (v128.load offset=16 (i32.add (local.get $query) (local.get $at)))
          (v128.load offset=16 (i32.add (local.get $key) (local.get $at)))
          (local.get $b)))
        (br_if $dot (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 32))) (local.get $size))))
      (local.set $a (f32x4.add (local.get $a) (local.get $b)))
      (local.set $logit (f32.mul (local.get $scale) ${sumOfLanes("(local.get $a)")}))
      (f32.store (local.get $score) (local.get $logit))
      (local.set $max (f32.max (local.get $max) (local.get $logit)))
      (local.set $key (i32.add (local.get $key) (local.get $size)))
      (br_if $logits (i32.lt_u (local.tee $score (i32.add (local.get $score) (i32.const 4))) (local.get $scoresEnd))))
    ;; Behind the last row, what counts for nothing.
    (loop $pad (if (i32.lt_u (local.get $score) (local.get $paddedEnd)) (then
      (f32.store (local.get $score) (f32.const -1e30))
      (local.set $score (i32.add (local.get $score) (i32.const 4)))
      (br $pad))))
    (local.set $maxima (f32x4.splat (local.get $max)))
    (local.set $b (v128.const i32x4 0 0 0 0))
    (local.set $score ${field("scores")})
    (loop $exponentials
      ${exponential("(f32x4.sub (v128.load (local.get $score)) (local.get $maxima))", "a", "n", "p")}
      (v128.store (local.get $score) (local.get $a))
      (local.set $b (f32x4.add (local.get $b) (local.get $a)))
      (br_if $exponentials
        (i32.lt_u (local.tee $score (i32.add (local.get $score) (i32.const 16))) (local.get $paddedEnd))))
    (local.set $inverse (f32.div (f32.const 1) ${sumOfLanes("(local.get $b)")}))
    (local.set $at (i32.const 0))
    (loop $elements
      (local.set $a (v128.const i32x4 0 0 0 0))
      (local.set $b (v128.const i32x4 0 0 0 0))
      (local.set $value (i32.add ${field("values")} (local.get $at)))
      (local.set $score ${field("scores")})
      (loop $values
        (local.set $weight (v128.load32_splat (local.get $score)))
        (local.set $a (f32x4.relaxed_madd (local.get $weight) (v128.load (local.get $value)) (local.get $a)))
        (local.set $b (f32x4.relaxed_madd (local.get $weight) (v128.load offset=16 (local.get $value)) (local.get $b)))
        (local.set $value (i32.add (local.get $value) (local.get $size)))
        (br_if $values (i32.lt_u (local.tee $score (i32.add (local.get $score) (i32.const 4))) (local.get $scoresEnd))))
      (v128.store (i32.add (local.get $output) (local.get $at))
        (f32x4.mul (local.get $a) (f32x4.splat (local.get $inverse))))
      (v128.store offset=16 (i32.add (local.get $output) (local.get $at))
        (f32x4.mul (local.get $b) (f32x4.splat (local.get $inverse))))
      (br_if $elements (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 32))) (local.get $size))))
    (local.set $query (i32.add (local.get $query) (local.get $size)))
    (local.set $output (i32.add (local.get $output) (local.get $size)))
    (br_if $heads (local.tee $group (i32.sub (local.get $group) (i32.const 1))))))`;
