/**
 * @file Blocks of queries of one head on their way through attention, in WebAssembly's text format: scaled, then logits of 4 queries x 8
 * keys at a time, then weights, a row at a time.
 *
 * A thread works in memory of its own, at the beginning of which lie the scaled queries, f32 `[QUERIES][headSize]`.
 */
import { blockProduct } from "./block_product.ts";
import { exponential, exponentialConstants, exponentialLocals, largestLane, splat, sumOfLanes } from "./vectors.ts";

/** Query rows of a block. */
export const QUERIES = 32;
/** The largest head that a thread has room for. */
export const LARGEST_HEAD = 256;

/** Bytes from row to row: a cache line more than needed, so that a column is not all in one set of the cache. */
export const QUERY_STRIDE = 4 * LARGEST_HEAD + 64;
export const SCALED_QUERIES = 0;
/** Where the rest of a thread's memory begins. */
export const BEHIND_QUERIES = SCALED_QUERIES + QUERIES * QUERY_STRIDE;

/** An address in a thread's own memory. */
export const own = (offset: number) => `(i32.add (global.get $scratch) (i32.const ${offset}))`;

/** `$scores4x8` of rows of the block, see block_product.ts; `$scaleQueries`; `$softmaxRow`. */
export const QUERY_BLOCK_FUNCTIONS = `
(global $scratch (mut i32) (i32.const 0))
${blockProduct("scores4x8", QUERY_STRIDE, false)}

;; Queries of a head, multiplied by the scale; rows so many bytes apart.
(func $scaleQueries (param $queries i32) (param $stride i32) (param $count i32) (param $headBytes i32) (param $scale v128)
  (local $at i32) (local $to i32)
  (local.set $to ${own(SCALED_QUERIES)})
  (loop $all
    (local.set $at (i32.const 0))
    (loop $elements
      (v128.store (i32.add (local.get $to) (local.get $at))
        (f32x4.mul (local.get $scale) (v128.load (i32.add (local.get $queries) (local.get $at)))))
      (br_if $elements (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $headBytes))))
    (local.set $to (i32.add (local.get $to) (i32.const ${QUERY_STRIDE})))
    (local.set $queries (i32.add (local.get $queries) (local.get $stride)))
    (br_if $all (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))

;; Logits of a row become weights: "visible" of them count, and the others up to "count" become 0.
(func $softmaxRow (param $weights i32) (param $visible i32) (param $count i32) (param $max i32) (param $sum i32)
  (param $shrink i32) (local $at i32) (local $end i32) (local $largest v128) (local $total v128) (local $new f32)
  (local $x0 v128) (local $x1 v128) (local $n0 v128) (local $n1 v128) (local $p0 v128) (local $p1 v128)
  ${exponentialLocals}
  (local.set $end (i32.add (local.get $weights)
    (i32.and (i32.add (i32.shl (local.get $count) (i32.const 2)) (i32.const 28)) (i32.const -32))))
  (if (i32.le_s (local.get $visible) (i32.const 0)) (then
    (f32.store (local.get $shrink) (f32.const 1))
    (loop $zeros
      (v128.store (local.get $weights) (v128.const i32x4 0 0 0 0))
      (br_if $zeros (i32.lt_u
        (local.tee $weights (i32.add (local.get $weights) (i32.const 16))) (local.get $end))))
    (return)))
  (local.set $at (i32.add (local.get $weights) (i32.shl (local.get $visible) (i32.const 2))))
  (loop $unseen (if (i32.lt_u (local.get $at) (local.get $end)) (then
    (f32.store (local.get $at) (f32.const -1e30))
    (local.set $at (i32.add (local.get $at) (i32.const 4)))
    (br $unseen))))
  (local.set $largest (v128.load32_splat (local.get $max)))
  (local.set $total (local.get $largest))
  (local.set $at (local.get $weights))
  (loop $maxima
    (local.set $largest (f32x4.relaxed_max (local.get $largest) (v128.load (local.get $at))))
    (local.set $total (f32x4.relaxed_max (local.get $total) (v128.load offset=16 (local.get $at))))
    (br_if $maxima (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 32))) (local.get $end))))
  (local.set $largest (f32x4.relaxed_max (local.get $largest) (local.get $total)))
  (local.set $new ${largestLane("(local.get $largest)")})
  (local.set $largest (f32x4.splat (local.get $new)))
  ${exponentialConstants}
  ${exponential("(f32x4.sub (v128.load32_splat (local.get $max)) (local.get $largest))", "x0", "n0", "p0")}
  (f32.store (local.get $shrink) (f32x4.extract_lane 0 (local.get $x0)))
  (f32.store (local.get $max) (local.get $new))
  (local.set $total ${splat(0)})
  (local.set $at (local.get $weights))
  (loop $exponentials
    ${exponential("(f32x4.sub (v128.load (local.get $at)) (local.get $largest))", "x0", "n0", "p0")}
    ${exponential("(f32x4.sub (v128.load offset=16 (local.get $at)) (local.get $largest))", "x1", "n1", "p1")}
    (v128.store (local.get $at) (local.get $x0))
    (v128.store offset=16 (local.get $at) (local.get $x1))
    (local.set $total (f32x4.add (local.get $total) (f32x4.add (local.get $x0) (local.get $x1))))
    (br_if $exponentials (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 32))) (local.get $end))))
  (f32.store (local.get $sum) (f32.add ${sumOfLanes("(local.get $total)")}
    (f32.mul (f32.load (local.get $sum)) (f32.load (local.get $shrink))))))`;
