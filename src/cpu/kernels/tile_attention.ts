/**
 * @file Causal attention of a tile of a prompt's rows, in WebAssembly's text format, with an online softmax.
 *
 * Query i of the tile sees the first `seen + i` rows. A piece of the job is one KV head and {@link QUERIES} rows, or those of them that
 * are in the tile, from a multiple of {@link QUERIES} on: it walks the rows in blocks of {@link KEYS}, turns the keys of a block once, and
 * takes the query heads of the group one after the other:
 *
 *     scores    4 queries x 8 keys at a time: queries times turned keys
 *     softmax   a row at a time; what there was is rescaled as the maximum moves (Milakov and Gimelshein, 2018)
 *     output    4 queries x 8 elements at a time: weights times values, added to what there was
 *
 * The rows of its own chunk come first (see scores/rehearsal.ts), then those of the chunks before it: what a query has seen in between is
 * what a rehearsal asks for. Blocks begin at the same rows whatever the tile, so what a row gets does not hang on where its tile begins.
 *
 * Dao, FlashAttention-2, 2023.
 */
import { REHEARSAL_CHUNK } from "../../scores/rehearsal.ts";
import { blockProduct } from "./block_product.ts";
import { BEHIND_QUERIES, LARGEST_HEAD, own, QUERIES, QUERY_STRIDE, SCALED_QUERIES } from "./query_block.ts";
import { range, splat } from "./vectors.ts";

/** Rows that are attended to together. */
const KEYS = 64;
/** Words of what is to be done; addresses and strides in bytes. */
export const TILE_RECORD = {
  /** f32, a row's query heads side by side. */
  queries: 0,
  queryStride: 1,
  /** f32 `[rows][headSize]` of the first KV head, and how far the next one's are. */
  keys: 2,
  values: 3,
  headStride: 4,
  /** f32, a row's query heads side by side. */
  outputs: 5,
  outputStride: 6,
  /** Rows of queries, and rows that the first of them sees. */
  count: 7,
  seen: 8,
  /** Query heads of a KV head. */
  group: 9,
  /** Bytes of a head's row, a multiple of 32. */
  headBytes: 10,
  /** Pieces of a KV head. */
  blocks: 11,
  /** f32: what logits are multiplied by. */
  scale: 12,
  /** f32, a row's query heads side by side: maximum of the logits of the rows that it sees of its chunk, and their sum of exponentials. */
  chunkSums: 13,
  chunkSumsStride: 14,
} as const;
export const TILE_RECORD_WORDS = 16;

// Where a thread works, behind the block of queries. Rows are longer than they need to be, see query_block.ts.
const WEIGHT_STRIDE = 4 * KEYS + 64;
const KEY_STRIDE = WEIGHT_STRIDE;
const TURNED_KEYS = BEHIND_QUERIES;
const WEIGHTS = TURNED_KEYS + LARGEST_HEAD * KEY_STRIDE;
/** f32 `[QUERIES]`: what the outputs of a row are multiplied by before a block is added. */
const SHRINKS = WEIGHTS + QUERIES * WEIGHT_STRIDE;
/** By query head of the group: maxima and sums f32 `[QUERIES]`, outputs f32 `[QUERIES][headSize]`. */
const HEADS = SHRINKS + 4 * QUERIES;
const MAXIMA = 0;
const SUMS = 4 * QUERIES;
const OUTPUTS = 8 * QUERIES;

/** Bytes that a thread works in. */
export function tileScratchBytes(group: number, headSize: number): number {
  return HEADS + group * (OUTPUTS + QUERIES * headSize * 4);
}

const field = (name: keyof typeof TILE_RECORD) => `(i32.load offset=${4 * TILE_RECORD[name]} (local.get $record))`;

/** `$attendTile`: one piece of a record. */
export const TILE_ATTENTION_FUNCTIONS = `
${blockProduct("outputs4x8", WEIGHT_STRIDE, true)}

;; Keys [count][head] become [head][KEYS].
(func $turnKeys (param $keys i32) (param $count i32) (param $headBytes i32)
  (local $key i32) (local $at i32) (local $to i32) (local $four v128)
  (loop $all
    (local.set $at (i32.const 0))
    (local.set $to (i32.add ${own(TURNED_KEYS)} (i32.shl (local.get $key) (i32.const 2))))
    (loop $elements
      (local.set $four (v128.load (i32.add (local.get $keys) (local.get $at))))
      ${
  range(4).map((lane) => `(v128.store32_lane offset=${lane * KEY_STRIDE} ${lane} (local.get $to) (local.get $four))`)
    .join("\n      ")
}
      (local.set $to (i32.add (local.get $to) (i32.const ${4 * KEY_STRIDE})))
      (br_if $elements (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $headBytes))))
    (local.set $keys (i32.add (local.get $keys) (local.get $headBytes)))
    (br_if $all (i32.lt_u (local.tee $key (i32.add (local.get $key) (i32.const 1))) (local.get $count)))))

;; Maxima and sums of a piece's rows as they are now.
(func $storeChunkSums (param $record i32) (param $head i32) (param $first i32) (param $count i32)
  (local $inGroup i32) (local $state i32) (local $i i32) (local $to i32)
  (local.set $state ${own(HEADS)})
  (loop $heads
    (local.set $i (i32.const 0))
    (local.set $to (i32.add
      (i32.add ${field("chunkSums")} (i32.mul (local.get $first) ${field("chunkSumsStride")}))
      (i32.shl (i32.add (i32.mul (local.get $head) ${field("group")}) (local.get $inGroup)) (i32.const 3))))
    (loop $rows
      (f32.store (local.get $to) (f32.load offset=${MAXIMA} (i32.add (local.get $state) (local.get $i))))
      (f32.store offset=4 (local.get $to) (f32.load offset=${SUMS} (i32.add (local.get $state) (local.get $i))))
      (local.set $to (i32.add (local.get $to) ${field("chunkSumsStride")}))
      (local.set $i (i32.add (local.get $i) (i32.const 4)))
      (br_if $rows (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.set $count (i32.shr_u (local.get $i) (i32.const 2)))
    (local.set $state (i32.add (i32.add (local.get $state) (i32.const ${OUTPUTS}))
      (i32.mul (i32.const ${QUERIES}) ${field("headBytes")})))
    (br_if $heads (i32.lt_u (local.tee $inGroup (i32.add (local.get $inGroup) (i32.const 1))) ${field("group")}))))

(func $attendTile (param $record i32) (param $piece i32)
  (local $head i32) (local $first i32) (local $count i32) (local $headBytes i32) (local $seen i32) (local $end i32)
  (local $key i32) (local $keys i32) (local $inGroup i32) (local $state i32) (local $i i32) (local $j i32)
  (local $chunk i32) (local $at i32) (local $to i32) (local $inverse v128)
  (local.set $headBytes ${field("headBytes")})
  (local.set $head (i32.div_u (local.get $piece) ${field("blocks")}))
  (local.set $first (i32.sub
    (i32.mul (i32.rem_u (local.get $piece) ${field("blocks")}) (i32.const ${QUERIES}))
    (i32.and (i32.sub ${field("seen")} (i32.const 1)) (i32.const ${QUERIES - 1}))))
  (local.set $count (i32.sub ${field("count")} (local.get $first)))
  (if (i32.gt_s (local.get $count) (i32.const ${QUERIES})) (then (local.set $count (i32.const ${QUERIES}))))
  ;; The first piece may begin before the tile does.
  (if (i32.lt_s (local.get $first) (i32.const 0)) (then
    (local.set $count (i32.add (local.get $count) (local.get $first)))
    (local.set $first (i32.const 0))))
  (local.set $seen (i32.add ${field("seen")} (local.get $first)))
  (local.set $end (i32.sub (i32.add (local.get $seen) (local.get $count)) (i32.const 1)))
  (local.set $chunk (i32.and (i32.sub (local.get $seen) (i32.const 1)) (i32.const ${-REHEARSAL_CHUNK})))
  (local.set $key (local.get $chunk))

  (local.set $state ${own(HEADS)})
  (loop $heads
    (local.set $i (i32.const 0))
    (loop $rows
      (f32.store (i32.add (local.get $state) (i32.shl (local.get $i) (i32.const 2))) (f32.const -1e30))
      (f32.store offset=${SUMS} (i32.add (local.get $state) (i32.shl (local.get $i) (i32.const 2))) (f32.const 0))
      (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const ${QUERIES}))))
    (memory.fill (i32.add (local.get $state) (i32.const ${OUTPUTS})) (i32.const 0)
      (i32.mul (i32.const ${QUERIES}) (local.get $headBytes)))
    (local.set $state (i32.add (i32.add (local.get $state) (i32.const ${OUTPUTS}))
      (i32.mul (i32.const ${QUERIES}) (local.get $headBytes))))
    (br_if $heads (i32.lt_u (local.tee $inGroup (i32.add (local.get $inGroup) (i32.const 1))) ${field("group")})))

  (loop $parts
    (loop $blocks
      (local.set $keys (i32.sub (local.get $end) (local.get $key)))
      (if (i32.gt_u (local.get $keys) (i32.const ${KEYS})) (then (local.set $keys (i32.const ${KEYS}))))
      (call $turnKeys
        (i32.add (i32.add ${field("keys")} (i32.mul (local.get $head) ${field("headStride")}))
          (i32.mul (local.get $key) (local.get $headBytes)))
        (local.get $keys) (local.get $headBytes))
      (local.set $inGroup (i32.const 0))
      (local.set $state ${own(HEADS)})
      (loop $heads
        (call $scaleQueries
          (i32.add (i32.add ${field("queries")} (i32.mul (local.get $first) ${field("queryStride")}))
            (i32.mul (i32.add (i32.mul (local.get $head) ${
  field("group")
}) (local.get $inGroup)) (local.get $headBytes)))
          ${field("queryStride")} (local.get $count) (local.get $headBytes)
          (v128.load32_splat offset=${4 * TILE_RECORD.scale} (local.get $record)))
        ;; Four rows at a time; behind the last one lies what nobody reads.
        (local.set $i (i32.const 0))
        (loop $fours
          (local.set $j (i32.const 0))
          (loop $eights
            (call $scores4x8
              (i32.add ${own(SCALED_QUERIES)} (i32.mul (local.get $i) (i32.const ${QUERY_STRIDE})))
              (i32.add ${own(TURNED_KEYS)} (i32.shl (local.get $j) (i32.const 2)))
              (i32.const ${KEY_STRIDE})
              (i32.shr_u (local.get $headBytes) (i32.const 2))
              (i32.add (i32.add ${own(WEIGHTS)} (i32.mul (local.get $i) (i32.const ${WEIGHT_STRIDE})))
                (i32.shl (local.get $j) (i32.const 2)))
              (i32.const ${WEIGHT_STRIDE})
              (i32.const 0))
            (br_if $eights (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 8))) (local.get $keys))))
          (br_if $fours (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $count))))
        (local.set $i (i32.const 0))
        (loop $rows
          (local.set $j (i32.sub (i32.add (local.get $seen) (local.get $i)) (local.get $key)))
          (if (i32.gt_s (local.get $j) (local.get $keys)) (then (local.set $j (local.get $keys))))
          (local.set $at (i32.shl (local.get $i) (i32.const 2)))
          (call $softmaxRow
            (i32.add ${own(WEIGHTS)} (i32.mul (local.get $i) (i32.const ${WEIGHT_STRIDE})))
            (local.get $j)
            (local.get $keys)
            (i32.add (i32.add (local.get $state) (i32.const ${MAXIMA})) (local.get $at))
            (i32.add (i32.add (local.get $state) (i32.const ${SUMS})) (local.get $at))
            (i32.add ${own(SHRINKS)} (local.get $at)))
          (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
        (local.set $i (i32.const 0))
        (loop $fours
          (local.set $j (i32.const 0))
          (loop $eights
            (call $outputs4x8
              (i32.add ${own(WEIGHTS)} (i32.mul (local.get $i) (i32.const ${WEIGHT_STRIDE})))
              (i32.add (i32.add (i32.add ${field("values")} (i32.mul (local.get $head) ${field("headStride")}))
                (i32.mul (local.get $key) (local.get $headBytes))) (local.get $j))
              (local.get $headBytes)
              (local.get $keys)
              (i32.add (i32.add (local.get $state) (i32.const ${OUTPUTS}))
                (i32.add (i32.mul (local.get $i) (local.get $headBytes)) (local.get $j)))
              (local.get $headBytes)
              (i32.add ${own(SHRINKS)} (i32.shl (local.get $i) (i32.const 2))))
            (br_if $eights (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 32))) (local.get $headBytes))))
          (br_if $fours (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $count))))
        (local.set $state (i32.add (i32.add (local.get $state) (i32.const ${OUTPUTS}))
          (i32.mul (i32.const ${QUERIES}) (local.get $headBytes))))
        (br_if $heads (i32.lt_u (local.tee $inGroup (i32.add (local.get $inGroup) (i32.const 1))) ${field("group")})))
      (br_if $blocks (i32.lt_u (local.tee $key (i32.add (local.get $key) (i32.const ${KEYS}))) (local.get $end))))
    (if (i32.ge_s (local.get $chunk) (i32.const 0)) (then
      (call $storeChunkSums (local.get $record) (local.get $head) (local.get $first) (local.get $count))
      ;; Then the chunks before it, if there are any.
      (local.set $key (i32.const 0))
      (local.set $end (local.get $chunk))
      (local.set $chunk (i32.const -1))
      (br_if $parts (local.get $end)))))

  (local.set $inGroup (i32.const 0))
  (local.set $state ${own(HEADS)})
  (loop $heads
    (local.set $i (i32.const 0))
    (loop $rows
      (local.set $inverse (f32x4.div ${splat(1)}
        (v128.load32_splat offset=${SUMS} (i32.add (local.get $state) (i32.shl (local.get $i) (i32.const 2))))))
      (local.set $to (i32.add
        (i32.add ${field("outputs")} (i32.mul (i32.add (local.get $first) (local.get $i)) ${field("outputStride")}))
        (i32.mul (i32.add (i32.mul (local.get $head) ${field("group")}) (local.get $inGroup)) (local.get $headBytes))))
      (local.set $at (i32.const 0))
      (loop $elements
        (v128.store (i32.add (local.get $to) (local.get $at)) (f32x4.mul (local.get $inverse)
          (v128.load offset=${OUTPUTS} (i32.add (i32.add (local.get $state)
            (i32.mul (local.get $i) (local.get $headBytes))) (local.get $at)))))
        (br_if $elements (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $headBytes))))
      (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
    (local.set $state (i32.add (i32.add (local.get $state) (i32.const ${OUTPUTS}))
      (i32.mul (i32.const ${QUERIES}) (local.get $headBytes))))
    (br_if $heads (i32.lt_u (local.tee $inGroup (i32.add (local.get $inGroup) (i32.const 1))) ${field("group")}))))`;
