/**
 * @file The WebAssembly module that a crew of threads shares: its kernels, and how the threads share a job.
 *
 *     the engine's thread    writes a job, opens it, works, waits until it is done
 *     the others             wait for a job, work, wait for the next
 *
 * A job is cut into pieces, and whoever is free takes one. Nobody waits for a thread that has taken none, so a thread that
 * sleeps, or that the machine lets wait, costs nothing. A word of memory counts the pieces that are left, and to take one is to
 * count it down: what the word was tells alone whether there was one. No word of the job is read before, as a thread may be held
 * up between any two instructions and go on when the next job is being written; whoever has a piece may read them all, as its job
 * is not done, and nothing is written, until that piece is.
 */
import wabt from "wabt";
import { ATTENTION_FUNCTIONS, ATTENTION_RECORD_WORDS } from "./row_attention.ts";
import { productFunction, ROW_COUNTS } from "./int8_product.ts";
import { ROUNDING_FUNCTIONS } from "./row_rounding.ts";
import { QUERY_BLOCK_FUNCTIONS } from "./query_block.ts";
import { REHEARSAL_FUNCTIONS } from "./rehearsal.ts";
import { TILE_ATTENTION_FUNCTIONS } from "./tile_attention.ts";

/** Words of a crew's control record. */
export const CONTROL = {
  /** Grows with every job; who waits for one waits for this to change. */
  generation: 0,
  /** Pieces that nobody has taken; none where it is not above 0. */
  left: 1,
  /** Pieces that are not done. */
  undone: 2,
  /** Outputs of a piece. */
  piece: 3,
  kind: 4,
  outputs: 5,
  weights: 6,
  scales: 7,
  x: 8,
  xScales: 9,
  y: 10,
  columns: 11,
  stride: 12,
  rows: 13,
  /** Columns of weights that share a scale. */
  group: 14,
  /** f32: the epsilon of a norm. */
  epsilon: 15,
} as const;
export const CONTROL_WORDS = 16;

/** What a job does. */
export const KINDS = {
  stop: 0,
  product: 1,
  attend: 2,
  attendTile: 3,
  rehearse: 4,
  roundPlain: 5,
  roundNormed: 6,
  roundGated: 7,
} as const;

/** How often a thread looks for a job before it goes to sleep: some tens of microseconds. */
const LOOKS = 100_000;

const word = (name: keyof typeof CONTROL) => `offset=${4 * CONTROL[name]} (local.get $control)`;
const load = (name: keyof typeof CONTROL) => `(i32.load ${word(name)})`;
const float = (name: keyof typeof CONTROL) => `(f32.load ${word(name)})`;
const atomic = (name: keyof typeof CONTROL) => `(i32.atomic.load ${word(name)})`;

/** The module in WebAssembly's text format. */
export const CREW_TEXT = `
(module
(import "memory" "memory" (memory 1 65536 shared))
${ROW_COUNTS.map(productFunction).join("\n")}
${ATTENTION_FUNCTIONS}
${QUERY_BLOCK_FUNCTIONS}
${TILE_ATTENTION_FUNCTIONS}
${REHEARSAL_FUNCTIONS}
${ROUNDING_FUNCTIONS}

;; A piece of a product: all rows, some at a time, so that its weights come out of memory once.
(func $product (param $control i32) (param $first i32) (param $last i32) (local $row i32)
  (loop $rows
    ${
  ROW_COUNTS.map((rows) => `
    (if (i32.ge_u (i32.sub ${load("rows")} (local.get $row)) (i32.const ${rows})) (then
      (call $product${rows} ${load("weights")} ${load("scales")} ${load("group")}
        (i32.add ${load("x")} (i32.mul (local.get $row) (i32.shl ${load("columns")} (i32.const 1))))
        (i32.add ${load("xScales")} (i32.shl (local.get $row) (i32.const 2)))
        (i32.add ${load("y")} (i32.mul (local.get $row) ${load("stride")}))
        ${load("columns")} ${load("stride")} (local.get $first) (local.get $last))
      (local.set $row (i32.add (local.get $row) (i32.const ${rows})))
      (br $rows)))`).join("")
}))

;; A piece of a rounding; here outputs are rows, of which each has as many elements as "rows" says.
(func $round (param $control i32) (param $kind i32) (param $row i32) (param $last i32)
  (local $x i32) (local $bytes i32) (local $y i32) (local $columnBytes i32) (local $scale i32)
  (local.set $bytes (i32.shl ${load("rows")} (i32.const 2)))
  (local.set $columnBytes (i32.shl ${load("columns")} (i32.const 1)))
  (loop $all
    (local.set $x (i32.add ${load("x")} (i32.mul (local.get $row) ${load("stride")})))
    (local.set $y (i32.add ${load("y")} (i32.mul (local.get $row) (local.get $columnBytes))))
    (local.set $scale (i32.add ${load("xScales")} (i32.shl (local.get $row) (i32.const 2))))
    ${
  (["roundPlain", "roundNormed", "roundGated"] as const).map((name) => `
    (if (i32.eq (local.get $kind) (i32.const ${KINDS[name]})) (then
      (call $${name} (local.get $x) (local.get $bytes) (local.get $y) (local.get $columnBytes) (local.get $scale)
        ${name === "roundNormed" ? ` ${load("weights")} ${float("epsilon")}` : ""})))`).join("")
}
    (br_if $all (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $last)))))

;; Takes pieces of the job, the last one first, until there are none.
(func $work (param $control i32) (local $left i32) (local $first i32) (local $last i32) (local $kind i32)
  (loop $pieces
    (local.set $left (i32.atomic.rmw.sub ${word("left")} (i32.const 1)))
    (if (i32.le_s (local.get $left) (i32.const 0)) (then (return)))
    (local.set $first (i32.mul (i32.sub (local.get $left) (i32.const 1)) ${load("piece")}))
    (local.set $last (i32.add (local.get $first) ${load("piece")}))
    (if (i32.gt_u (local.get $last) ${load("outputs")}) (then (local.set $last ${load("outputs")})))
    (local.set $kind ${load("kind")})
    (if (i32.eq (local.get $kind) (i32.const ${KINDS.product})) (then
      (call $product (local.get $control) (local.get $first) (local.get $last))))
;; Here outputs are records: of attention, one at a time.
    (if (i32.eq (local.get $kind) (i32.const ${KINDS.attend})) (then
      (call $attend
        (i32.add ${load("x")} (i32.mul (local.get $first) (i32.const ${4 * ATTENTION_RECORD_WORDS})))
        ${load("rows")} ${load("stride")} ${float("xScales")})))
;; Here they are pieces of a tile's attention, or of a rehearsal.
    (if (i32.eq (local.get $kind) (i32.const ${KINDS.attendTile})) (then
      (call $attendTile ${load("x")} (local.get $first))))
    (if (i32.eq (local.get $kind) (i32.const ${KINDS.rehearse})) (then
      (call $rehearse ${load("x")} (local.get $first))))
    (if (i32.ge_u (local.get $kind) (i32.const ${KINDS.roundPlain})) (then
      (call $round (local.get $control) (local.get $kind) (local.get $first) (local.get $last))))
    (drop (i32.atomic.rmw.sub ${word("undone")} (i32.const 1)))
    (br $pieces)))

;; Opens the job that has been written, which has so many pieces, works on it and returns when it is done.
(func (export "run") (param $control i32) (param $pieces i32)
  (i32.atomic.store ${word("undone")} (local.get $pieces))
  (i32.atomic.store ${word("left")} (local.get $pieces))
  ;; Of a single piece, nobody is told.
  (if (i32.ne (local.get $pieces) (i32.const 1)) (then
    (drop (i32.atomic.rmw.add ${word("generation")} (i32.const 1)))
    (drop (memory.atomic.notify (local.get $control) (i32.const -1)))))
  (call $work (local.get $control))
  (loop $rest (br_if $rest ${atomic("undone")})))

;; Gives the thread memory of its own to work in.
(func (export "own") (param $address i32) (global.set $scratch (local.get $address)))

;; Works on job after job until one says to stop.
(func (export "serve") (param $control i32) (local $seen i32) (local $looks i32)
  (loop $jobs
    (local.set $looks (i32.const 0))
    (loop $wait
      (if (i32.eq ${atomic("generation")} (local.get $seen)) (then
        (if (i32.lt_u (local.tee $looks (i32.add (local.get $looks) (i32.const 1))) (i32.const ${LOOKS}))
          (then (br $wait)))
        (drop (memory.atomic.wait32 (local.get $control) (local.get $seen) (i64.const -1)))
        (local.set $looks (i32.const 0))
        (br $wait))))
    (local.set $seen ${atomic("generation")})
    (if (i32.eq ${load("kind")} (i32.const ${KINDS.stop})) (then (return)))
    (call $work (local.get $control))
    (br $jobs)))
)`;

/** Compiles the module. */
export async function compileCrewModule(): Promise<WebAssembly.Module> {
  const { parseWat } = await wabt();
  const parsed = parseWat("crew.wat", CREW_TEXT, { simd: true, threads: true, relaxed_simd: true });
  const { buffer } = parsed.toBinary({});
  parsed.destroy();
  return await WebAssembly.compile(buffer as Uint8Array<ArrayBuffer>);
}
