/**
 * @file Scores of a chunk's rows by its own queries that are asked again, in WebAssembly's text format: see
 * kernels/scoring/rehearsal_scores.ts, whose rule it is.
 *
 * A piece of the job is one KV head and {@link QUERIES} rows that ask. It packs the keys of the chunk, eight side by side, in which order
 * products read them, and takes the query heads of the group one after the other:
 *
 *     before    logits of the rows up to each query, of which the maximum and the sum of exponentials stay; both may be known
 *     again     logits of the turned queries and all rows, which become exponentials and go into the same sum
 *     most      maximum over the queries of what each pays a row
 *
 * Pieces raise what stands in the result, where that is less, so whoever comes last has no more to say than who comes first.
 */
import { REHEARSAL_CHUNK } from "../../scores/rehearsal.ts";
import { BEHIND_QUERIES, own, QUERIES, QUERY_STRIDE, SCALED_QUERIES } from "./query_block.ts";
import { lanes, range, splat } from "./vectors.ts";

/** Words of what is to be done; addresses and strides in bytes. */
export const REHEARSAL_RECORD = {
  /** f32, a row's query heads side by side. */
  queries: 0,
  queryStride: 1,
  /** f32 `[rows][headSize]` of the first KV head, and how far the next one's are. */
  keys: 2,
  headStride: 3,
  /** Rows of the chunk. */
  count: 4,
  /** Query heads of a KV head. */
  group: 5,
  /** Bytes of a head's row, a multiple of 32. */
  headBytes: 6,
  /** Pieces of a KV head. */
  blocks: 7,
  /**
   * By how much the first row is turned on, times the scale: f32 cosines `[headSize / 2]`, sines `[headSize / 2]`. A row later is turned by
   * a position less, which lies before it.
   */
  turn: 8,
  /** Whether neighbours make a pair; otherwise elements half a head apart do. */
  isAdjacent: 9,
  /** f32 `[kvHead][count]`, zeros at first: the scores. */
  paid: 10,
  /** f32: what logits are multiplied by. */
  scale: 11,
  /** What tile_attention.ts leaves of the queries, as there; 0 where it does not know the chunk. */
  chunkSums: 12,
  chunkSumsStride: 13,
} as const;
export const REHEARSAL_RECORD_WORDS = 14;

/** Keys side by side. */
const PANEL = 8;

// Where a thread works, behind the block of queries.
const LOGIT_STRIDE = 4 * REHEARSAL_CHUNK + 64;
const LOGITS = BEHIND_QUERIES;
/** f32 `[QUERIES]` each. */
const MAXIMA = LOGITS + QUERIES * LOGIT_STRIDE;
const SUMS = MAXIMA + 4 * QUERIES;
/** What nobody reads. */
const SHRINK = SUMS + 4 * QUERIES;
/** f32 `[REHEARSAL_CHUNK]`: the most that a row has been paid in this piece. */
const PAID = SHRINK + 16;
/** f32 `[panel][headSize][PANEL]`. */
const PACKED_KEYS = PAID + 4 * REHEARSAL_CHUNK;

/** Bytes that a thread works in. */
export function rehearsalScratchBytes(headSize: number): number {
  return PACKED_KEYS + REHEARSAL_CHUNK * headSize * 4;
}

const field = (name: keyof typeof REHEARSAL_RECORD) =>
  `(i32.load offset=${4 * REHEARSAL_RECORD[name]} (local.get $record))`;
const get = (local: string) => `(local.get $${local})`;

/** Four rows of four lanes become columns. */
function transposed(rows: readonly string[]): string[] {
  const [a, b, c, d] = rows.map(get);
  const [low, high] = [[0, 4, 1, 5], [2, 6, 3, 7]];
  return [low, high].flatMap((half) =>
    [[0, 1, 4, 5], [2, 3, 6, 7]].map((pair) => lanes(pair, lanes(half, a, b), lanes(half, c, d)))
  );
}

/** `$rehearse`: one piece of a record. */
export const REHEARSAL_FUNCTIONS = `
;; Keys [count][head] become panels [head][8]; the last one is filled up with its last key.
(func $packKeys (param $keys i32) (param $count i32) (param $headBytes i32)
  (local $to i32) (local $at i32) (local $left i32)
  ${range(PANEL).map((key) => `(local $key${key} i32) (local $row${key} v128)`).join(" ")}
  (local.set $to ${own(PACKED_KEYS)})
  (loop $panels
    (local.set $key0 (local.get $keys))
    ${
  range(PANEL - 1).map((key) =>
    `(local.set $key${key + 1} (i32.add (local.get $key${key})
      (select (local.get $headBytes) (i32.const 0) (i32.gt_u (local.get $count) (i32.const ${key + 1})))))`
  ).join("\n    ")
}
    (local.set $at (i32.const 0))
    (loop $elements
      ${
  range(PANEL).map((key) => `(local.set $row${key} (v128.load (i32.add (local.get $key${key}) (local.get $at))))`).join(
    "\n      ",
  )
}
      ${
  range(PANEL / 4).flatMap((half) =>
    transposed(range(4).map((key) => `row${4 * half + key}`)).map((column, element) =>
      `(v128.store offset=${4 * PANEL * element + 16 * half} (local.get $to) ${column})`
    )
  ).join("\n      ")
}
      (local.set $to (i32.add (local.get $to) (i32.const ${16 * PANEL})))
      (br_if $elements (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $headBytes))))
    (local.set $keys (i32.add (local.get $keys) (i32.mul (i32.const ${PANEL}) (local.get $headBytes))))
    (br_if $panels (i32.gt_s (local.tee $count (i32.sub (local.get $count) (i32.const ${PANEL}))) (i32.const 0)))))

;; Queries of a head, turned on to where they are asked again, and multiplied by the scale.
(func $turnQueries (param $record i32) (param $queries i32) (param $turn i32) (param $count i32)
  (local $at i32) (local $to i32) (local $half i32) (local $first v128) (local $second v128)
  (local $cosine v128) (local $sine v128) (local $x v128) (local $y v128) (local $from i32)
  (local.set $half (i32.shr_u ${field("headBytes")} (i32.const 1)))
  (local.set $to ${own(SCALED_QUERIES)})
  (loop $all
    (local.set $at (i32.const 0))
    (loop $elements
      (local.set $cosine (v128.load (i32.add (local.get $turn) (local.get $at))))
      (local.set $sine (v128.load (i32.add (i32.add (local.get $turn) (local.get $half)) (local.get $at))))
      (if ${field("isAdjacent")} (then
        (local.set $from (i32.add (local.get $queries) (i32.shl (local.get $at) (i32.const 1))))
        (local.set $first (v128.load (local.get $from)))
        (local.set $second (v128.load offset=16 (local.get $from)))
        (local.set $x ${lanes([0, 2, 4, 6], get("first"), get("second"))})
        (local.set $y ${lanes([1, 3, 5, 7], get("first"), get("second"))}))
      (else
        (local.set $from (i32.add (local.get $queries) (local.get $at)))
        (local.set $x (v128.load (local.get $from)))
        (local.set $y (v128.load (i32.add (local.get $from) (local.get $half))))))
      (local.set $first (f32x4.sub
        (f32x4.mul (local.get $x) (local.get $cosine)) (f32x4.mul (local.get $y) (local.get $sine))))
      (local.set $second (f32x4.add
        (f32x4.mul (local.get $x) (local.get $sine)) (f32x4.mul (local.get $y) (local.get $cosine))))
      (if ${field("isAdjacent")} (then
        (local.set $from (i32.add (local.get $to) (i32.shl (local.get $at) (i32.const 1))))
        (v128.store (local.get $from) ${lanes([0, 4, 1, 5], get("first"), get("second"))})
        (v128.store offset=16 (local.get $from) ${lanes([2, 6, 3, 7], get("first"), get("second"))}))
      (else
        (local.set $from (i32.add (local.get $to) (local.get $at)))
        (v128.store (local.get $from) (local.get $first))
        (v128.store (i32.add (local.get $from) (local.get $half)) (local.get $second))))
      (br_if $elements (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $half))))
    (local.set $to (i32.add (local.get $to) (i32.const ${QUERY_STRIDE})))
    (local.set $queries (i32.add (local.get $queries) ${field("queryStride")}))
    (local.set $turn (i32.sub (local.get $turn) ${field("headBytes")}))
    (br_if $all (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))

;; Logits of the block's queries and the first keys, four and eight at a time; behind the last ones lies what nobody reads.
(func $logitsOfBlock (param $count i32) (param $keys i32) (param $headBytes i32)
  (local $i i32) (local $j i32)
  (loop $panels
    (local.set $i (i32.const 0))
    (loop $fours
      (call $scores4x8
        (i32.add ${own(SCALED_QUERIES)} (i32.mul (local.get $i) (i32.const ${QUERY_STRIDE})))
        (i32.add ${own(PACKED_KEYS)} (i32.mul (local.get $j) (local.get $headBytes)))
        (i32.const ${4 * PANEL})
        (i32.shr_u (local.get $headBytes) (i32.const 2))
        (i32.add (i32.add ${own(LOGITS)} (i32.mul (local.get $i) (i32.const ${LOGIT_STRIDE})))
          (i32.shl (local.get $j) (i32.const 2)))
        (i32.const ${LOGIT_STRIDE})
        (i32.const 0))
      (br_if $fours (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $count))))
    (br_if $panels (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const ${PANEL}))) (local.get $keys)))))

;; Of logits, the first "seen" of the first row and "more" of each row after it become exponentials and go into its sum.
(func $exponentialsOfBlock (param $count i32) (param $seen i32) (param $more i32) (local $i i32)
  (loop $rows
    (call $softmaxRow
      (i32.add ${own(LOGITS)} (i32.mul (local.get $i) (i32.const ${LOGIT_STRIDE})))
      (local.get $seen)
      (local.get $seen)
      (i32.add ${own(MAXIMA)} (i32.shl (local.get $i) (i32.const 2)))
      (i32.add ${own(SUMS)} (i32.shl (local.get $i) (i32.const 2)))
      ${own(SHRINK)})
    (local.set $seen (i32.add (local.get $seen) (local.get $more)))
    (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count)))))

;; What rows are paid by the block's queries at most, where that is more than what they have been paid.
(func $mostOfBlock (param $count i32) (param $keys i32) (local $i i32) (local $at i32) (local $from i32) (local $paid i32) (local $share v128)
  ${range(4).map((vector) => `(local $most${vector} v128)`).join(" ")}
  (loop $columns
    (local.set $paid (i32.add ${own(PAID)} (local.get $at)))
    ${
  range(4).map((vector) => `(local.set $most${vector} (v128.load offset=${16 * vector} (local.get $paid)))`)
    .join("\n    ")
}
    (local.set $from (i32.add ${own(LOGITS)} (local.get $at)))
    (local.set $i (i32.const 0))
    (loop $rows
      (local.set $share
        (v128.load32_splat offset=${SUMS} (i32.add (global.get $scratch) (i32.shl (local.get $i) (i32.const 2)))))
      ${
  range(4).map((vector) =>
    `(local.set $most${vector} (f32x4.relaxed_max ${get(`most${vector}`)}
        (f32x4.mul (local.get $share) (v128.load offset=${16 * vector} (local.get $from)))))`
  ).join("\n      ")
}
      (local.set $from (i32.add (local.get $from) (i32.const ${LOGIT_STRIDE})))
      (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
    ${
  range(4).map((vector) => `(v128.store offset=${16 * vector} (local.get $paid) ${get(`most${vector}`)})`)
    .join("\n    ")
}
    (br_if $columns (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 64)))
      (i32.shl (local.get $keys) (i32.const 2))))))

;; Raises what stands in the result. Bits of numbers of at least 0 have the order of the numbers.
(func $raise (param $to i32) (param $count i32) (local $at i32) (local $new i32) (local $old i32)
  (loop $all
    (local.set $new (i32.load offset=${PAID} (i32.add (global.get $scratch) (local.get $at))))
    (local.set $old (i32.atomic.load (i32.add (local.get $to) (local.get $at))))
    (loop $again (if (i32.gt_s (local.get $new) (local.get $old)) (then
      (br_if $again (i32.ne (local.get $old) (local.tee $old
        (i32.atomic.rmw.cmpxchg (i32.add (local.get $to) (local.get $at)) (local.get $old) (local.get $new))))))))
    (local.set $at (i32.add (local.get $at) (i32.const 4)))
    (br_if $all (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))

;; Maxima and sums of what the block's queries saw of the chunk, where they are known.
(func $loadChunkSums (param $from i32) (param $stride i32) (param $count i32) (local $to i32)
  (local.set $to (global.get $scratch))
  (loop $rows
    (f32.store offset=${MAXIMA} (local.get $to) (f32.load (local.get $from)))
    (f32.store offset=${SUMS} (local.get $to) (f32.load offset=4 (local.get $from)))
    (local.set $from (i32.add (local.get $from) (local.get $stride)))
    (local.set $to (i32.add (local.get $to) (i32.const 4)))
    (br_if $rows (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))

;; The same, where they are not known.
(func $sumBefore (param $record i32) (param $queries i32) (param $first i32) (param $count i32) (local $i i32)
  (loop $states
    (v128.store offset=${MAXIMA} (i32.add (global.get $scratch) (local.get $i)) ${splat(-1e30)})
    (v128.store offset=${SUMS} (i32.add (global.get $scratch) (local.get $i)) ${splat(0)})
    (br_if $states (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 16))) (i32.const ${4 * QUERIES}))))
  (call $scaleQueries (local.get $queries) ${field("queryStride")} (local.get $count) ${field("headBytes")}
    (v128.load32_splat offset=${4 * REHEARSAL_RECORD.scale} (local.get $record)))
  (call $logitsOfBlock (local.get $count) (i32.add (local.get $first) (local.get $count)) ${field("headBytes")})
  (call $exponentialsOfBlock (local.get $count) (i32.add (local.get $first) (i32.const 1)) (i32.const 1)))

(func $rehearse (param $record i32) (param $piece i32)
  (local $head i32) (local $first i32) (local $count i32) (local $rows i32) (local $headBytes i32) (local $inGroup i32)
  (local $queries i32) (local $i i32)
  (local.set $headBytes ${field("headBytes")})
  (local.set $rows ${field("count")})
  (local.set $head (i32.div_u (local.get $piece) ${field("blocks")}))
  (local.set $first (i32.mul (i32.rem_u (local.get $piece) ${field("blocks")}) (i32.const ${QUERIES})))
  (local.set $count (i32.sub (local.get $rows) (local.get $first)))
  (if (i32.gt_u (local.get $count) (i32.const ${QUERIES})) (then (local.set $count (i32.const ${QUERIES}))))
  (call $packKeys (i32.add ${field("keys")} (i32.mul (local.get $head) ${field("headStride")}))
    (local.get $rows) (local.get $headBytes))
  (memory.fill ${own(PAID)} (i32.const 0) (i32.const ${4 * REHEARSAL_CHUNK}))
  (local.set $queries (i32.add (i32.add ${field("queries")} (i32.mul (local.get $first) ${field("queryStride")}))
    (i32.mul (i32.mul (local.get $head) ${field("group")}) (local.get $headBytes))))
  (loop $heads
    (if ${field("chunkSums")}
      (then (call $loadChunkSums
        (i32.add (i32.add ${field("chunkSums")} (i32.mul (local.get $first) ${field("chunkSumsStride")}))
          (i32.shl (i32.add (i32.mul (local.get $head) ${field("group")}) (local.get $inGroup)) (i32.const 3)))
        ${field("chunkSumsStride")} (local.get $count)))
      (else (call $sumBefore (local.get $record) (local.get $queries) (local.get $first) (local.get $count))))

    (call $turnQueries (local.get $record) (local.get $queries)
      (i32.sub ${field("turn")} (i32.mul (local.get $first) (local.get $headBytes))) (local.get $count))
    (call $logitsOfBlock (local.get $count) (local.get $rows) (local.get $headBytes))
    (call $exponentialsOfBlock (local.get $count) (local.get $rows) (i32.const 0))

    (local.set $i (i32.const 0))
    (loop $inverses
      (v128.store offset=${SUMS} (i32.add (global.get $scratch) (local.get $i)) (f32x4.div ${splat(1)}
        (v128.load offset=${SUMS} (i32.add (global.get $scratch) (local.get $i)))))
      (br_if $inverses (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 16))) (i32.const ${4 * QUERIES}))))
    (call $mostOfBlock (local.get $count) (local.get $rows))
    (local.set $queries (i32.add (local.get $queries) (local.get $headBytes)))
    (br_if $heads (i32.lt_u (local.tee $inGroup (i32.add (local.get $inGroup) (i32.const 1))) ${field("group")})))
  (call $raise (i32.add ${field("paid")} (i32.shl (i32.mul (local.get $head) (local.get $rows)) (i32.const 2)))
    (local.get $rows)))`;
