/**
 * @file Causal attention of a tile of a prompt's rows, in WebAssembly's text format, with an online softmax.
 *
 * Query i of the tile sees the first `seen + i` rows. A piece of the job is one KV head and {@link QUERIES} rows: it walks the rows in
 * blocks of {@link KEYS}, turns the keys of a block once, and takes the query heads of the group one after the other:
 *
 *     scores    4 queries x 8 keys at a time: queries times turned keys
 *     softmax   a row at a time; what there was is rescaled as the maximum moves (Milakov and Gimelshein, 2018)
 *     output    4 queries x 8 elements at a time: weights times values, added to what there was
 *
 * Blocks begin at the same rows whatever the tile, so what a row gets does not hang on where its tile begins.
 *
 * Dao, FlashAttention-2, 2023.
 */
import { largestLane, splat, sumOfLanes } from "./vectors.ts";

/** Query rows of a piece. */
export const QUERIES = 32;
/** Rows that are attended to together. */
const KEYS = 64;
/** Columns that a product takes in one go. */
const UNROLLED = 4;
/** The largest head that a thread has room for. */
export const LARGEST_HEAD = 256;

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
} as const;
export const TILE_RECORD_WORDS = 16;

// Where a thread works. Rows are a cache line longer than they need to be, so that a column is not all in one set of the cache.
const QUERY_STRIDE = 4 * LARGEST_HEAD + 64;
const WEIGHT_STRIDE = 4 * KEYS + 64;
const KEY_STRIDE = WEIGHT_STRIDE;
const TURNED_KEYS = 0;
const SCALED_QUERIES = TURNED_KEYS + LARGEST_HEAD * KEY_STRIDE;
const WEIGHTS = SCALED_QUERIES + QUERIES * QUERY_STRIDE;
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

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const field = (name: keyof typeof TILE_RECORD) => `(i32.load offset=${4 * TILE_RECORD[name]} (local.get $record))`;
const own = (offset: number) => `(i32.add (global.get $scratch) (i32.const ${offset}))`;

/**
 * A block of 4 rows x 8 columns of a product: `c = shrink c + a b`. Without `shrinks`, `c = a b`.
 *
 * a f32 `[4]`, rows `stride` bytes apart; b f32 `[inner][8]`, rows `bStride` apart; c f32 `[4][8]`, rows `cStride` apart.
 */
function productFunction(name: string, stride: number, isAdded: boolean): string {
  const rows = range(4);
  const each = (write: (row: number, half: number) => string) =>
    rows.flatMap((row) => [0, 1].map((half) => write(row, half))).join("\n    ");
  const column = (splat: (row: number) => string) => `
    (local.set $b0 (v128.load (local.get $b)))
    (local.set $b1 (v128.load offset=16 (local.get $b)))
    (local.set $b (i32.add (local.get $b) (local.get $bStride)))
    ${
    rows.map((row) =>
      `(local.set $row ${splat(row)})
    ${
        [0, 1].map((half) =>
          `(local.set $c${row}_${half} (f32x4.relaxed_madd (local.get $row) (local.get $b${half}) (local.get $c${row}_${half})))`
        ).join("\n    ")
      }`
    ).join("\n    ")
  }`;
  const lane = (k: number) => range(16).map((byte) => 4 * k + byte % 4).join(" ");
  const place = (row: number) => `(i32.add (local.get $c) (i32.mul (i32.const ${row}) (local.get $cStride)))`;
  return `
(func $${name} (param $a i32) (param $b i32) (param $bStride i32) (param $inner i32) (param $c i32) (param $cStride i32)
  (param $shrinks i32) (local $end i32) (local $b0 v128) (local $b1 v128) (local $row v128)
  ${rows.map((row) => `(local $a${row} v128)`).join(" ")}
  ${each((row, half) => `(local $c${row}_${half} v128)`)}
  ${
    isAdded
      ? rows.map((row) =>
        `(local.set $row (v128.load32_splat offset=${4 * row} (local.get $shrinks)))
    ${
          [0, 1].map((half) =>
            `(local.set $c${row}_${half} (f32x4.mul (local.get $row) (v128.load offset=${16 * half} ${place(row)})))`
          ).join("\n    ")
        }`
      ).join("\n  ")
      : ""
  }
  ;; Some at a time, as a loop takes as long to go round as two columns do.
  (local.set $end (i32.add (local.get $a) (i32.shl (i32.and (local.get $inner) (i32.const -${UNROLLED})) (i32.const 2))))
  (loop $some (if (i32.lt_u (local.get $a) (local.get $end)) (then
    ${rows.map((row) => `(local.set $a${row} (v128.load offset=${row * stride} (local.get $a)))`).join("\n    ")}
    ${
    range(UNROLLED).map((k) => column((row) => `(i8x16.shuffle ${lane(k)} (local.get $a${row}) (local.get $a${row}))`))
      .join("\n    ")
  }
    (local.set $a (i32.add (local.get $a) (i32.const ${4 * UNROLLED})))
    (br $some))))
  (local.set $end (i32.add (local.get $a) (i32.shl (i32.and (local.get $inner) (i32.const ${
    UNROLLED - 1
  })) (i32.const 2))))
  (loop $rest (if (i32.lt_u (local.get $a) (local.get $end)) (then
    ${column((row) => `(v128.load32_splat offset=${row * stride} (local.get $a))`)}
    (local.set $a (i32.add (local.get $a) (i32.const 4)))
    (br $rest))))
  ${each((row, half) => `(v128.store offset=${16 * half} ${place(row)} (local.get $c${row}_${half}))`)})`;
}

/** `$attendTile`: one piece of a record. */
export const TILE_ATTENTION_FUNCTIONS = `
(global $scratch (mut i32) (i32.const 0))
${productFunction("scores4x8", QUERY_STRIDE, false)}
${productFunction("outputs4x8", WEIGHT_STRIDE, true)}

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

;; Queries of a head, multiplied by the scale.
(func $scaleQueries (param $record i32) (param $queries i32) (param $count i32)
  (local $at i32) (local $to i32) (local $scale v128)
  (local.set $scale (v128.load32_splat offset=${4 * TILE_RECORD.scale} (local.get $record)))
  (local.set $to ${own(SCALED_QUERIES)})
  (loop $all
    (local.set $at (i32.const 0))
    (loop $elements
      (v128.store (i32.add (local.get $to) (local.get $at))
        (f32x4.mul (local.get $scale) (v128.load (i32.add (local.get $queries) (local.get $at)))))
      (br_if $elements (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) ${field("headBytes")})))
    (local.set $to (i32.add (local.get $to) (i32.const ${QUERY_STRIDE})))
    (local.set $queries (i32.add (local.get $queries) ${field("queryStride")}))
    (br_if $all (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))

;; Logits of a row become weights: "visible" of them count, and the others up to "count" become 0.
(func $softmaxRow (param $weights i32) (param $visible i32) (param $count i32) (param $max i32) (param $sum i32)
  (param $shrink i32) (local $at i32) (local $end i32) (local $largest v128) (local $total v128) (local $new f32)
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
  (local.set $at (local.get $weights))
  (loop $maxima
    (local.set $largest (f32x4.relaxed_max (local.get $largest) (v128.load (local.get $at))))
    (br_if $maxima (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $end))))
  (local.set $new ${largestLane("(local.get $largest)")})
  (local.set $largest (f32x4.splat (local.get $new)))
  (f32.store (local.get $shrink) (f32x4.extract_lane 0
    (call $exp (f32x4.sub (v128.load32_splat (local.get $max)) (local.get $largest)))))
  (f32.store (local.get $max) (local.get $new))
  (local.set $total ${splat(0)})
  (local.set $at (local.get $weights))
  (loop $exponentials
    (v128.store (local.get $at) (call $exp (f32x4.sub (v128.load (local.get $at)) (local.get $largest))))
    (local.set $total (f32x4.add (local.get $total) (v128.load (local.get $at))))
    (br_if $exponentials (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $end))))
  (f32.store (local.get $sum) (f32.add ${sumOfLanes("(local.get $total)")}
    (f32.mul (f32.load (local.get $sum)) (f32.load (local.get $shrink))))))

(func $attendTile (param $record i32) (param $piece i32)
  (local $head i32) (local $first i32) (local $count i32) (local $headBytes i32) (local $seen i32) (local $end i32)
  (local $key i32) (local $keys i32) (local $inGroup i32) (local $state i32) (local $i i32) (local $j i32)
  (local $at i32) (local $to i32) (local $inverse v128)
  (local.set $headBytes ${field("headBytes")})
  (local.set $head (i32.div_u (local.get $piece) ${field("blocks")}))
  (local.set $first (i32.mul (i32.rem_u (local.get $piece) ${field("blocks")}) (i32.const ${QUERIES})))
  (local.set $count (i32.sub ${field("count")} (local.get $first)))
  (if (i32.gt_u (local.get $count) (i32.const ${QUERIES})) (then (local.set $count (i32.const ${QUERIES}))))
  (local.set $seen (i32.add ${field("seen")} (local.get $first)))
  (local.set $end (i32.sub (i32.add (local.get $seen) (local.get $count)) (i32.const 1)))

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
      (call $scaleQueries (local.get $record)
        (i32.add (i32.add ${field("queries")} (i32.mul (local.get $first) ${field("queryStride")}))
          (i32.mul (i32.add (i32.mul (local.get $head) ${field("group")}) (local.get $inGroup)) (local.get $headBytes)))
        (local.get $count))
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
