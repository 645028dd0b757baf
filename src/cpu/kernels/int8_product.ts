/**
 * @file Products of a few rows with a matrix of 8-bit weights, in WebAssembly's text format.
 *
 *     y[r][n] = rowScale[r] x sum over groups g of  weightScale[n][g] x sum over k of g of  weight[n][k] x row[r][k]
 *
 * A group is so many columns; it may be the whole row. Within one, sums are exact: i8 x i16 -> i32. Weights of 8 bits are a quarter
 * of the bytes of f32, and memory is the limit of a single row. Rows are rounded to 14 bits, each by its own scale, so that nothing is
 * lost that weights of 8 bits would have told, and what a row gets does not hang on the rows beside it.
 */
import { lanes, range } from "./vectors.ts";

/** Outputs that a loop computes together. */
export const OUTPUTS = 4;
/** Columns of weights, padded with zeros, are a multiple of this: a vector. */
export const COLUMN_MULTIPLE = 16;

/** The largest magnitude of a row's elements, 14 bits with the sign. */
export const LARGEST_ELEMENT = 8191;
/** Most columns of a group: 127 x 8,191 x 2,048 is just below 2^31, which the sums within a group must be. */
export const LARGEST_GROUP = 2048;

/**
 * Rows that a loop computes together. Two take 15 registers, all that V8 has to give: 8 sums, 4 vectors of rows, 2 of weights and one
 * product. What goes to the stack and back makes the loop up to twice as slow, depending on where the stack lies.
 */
export const ROW_COUNTS = [2, 1] as const;

/**
 * Where a weight lies in its matrix, in bytes: `[outputs / 4][columns / 16][4][16]`, the order in which a product reads them. A single
 * stream comes out of memory twice as fast as four.
 */
export function weightIndex(output: number, column: number, columns: number): number {
  const [within, lane] = [output % OUTPUTS, column % COLUMN_MULTIPLE];
  return (output - within) * columns + (column - lane) * OUTPUTS + within * COLUMN_MULTIPLE + lane;
}

/** Where the scale of an output's group lies, in elements: `[outputs / 4][groups][4]`. */
export function scaleIndex(output: number, group: number, groups: number): number {
  const within = output % OUTPUTS;
  return (output - within) * groups + group * OUTPUTS + within;
}

/** Adds lanes 0 and 2, and 1 and 3, of two vectors: the first's sums are lanes 0 and 1. */
const halves = (one: string, other: string) =>
  `(i32x4.add ${lanes([0, 1, 4, 5], one, other)} ${lanes([2, 3, 6, 7], one, other)})`;

/** Adds neighbouring lanes of two vectors. */
const pairs = (one: string, other: string) =>
  `(i32x4.add ${lanes([0, 2, 4, 6], one, other)} ${lanes([1, 3, 5, 7], one, other)})`;

/**
 * `$product<rows>`: outputs `first` to `last`, both multiples of {@link OUTPUTS}.
 *
 * weights i8, see {@link weightIndex}; scales f32, see {@link scaleIndex}; group: its columns; x i16 `[rows][columns]`;
 * xScales f32 `[rows]`; y f32 `[rows][stride]`, stride in bytes.
 */
export function productFunction(rows: number): string {
  const accumulator = (output: number, row: number) => `$sum${output}_${row}`;
  const sum = (output: number, row: number) => `(local.get ${accumulator(output, row)})`;
  const each = (write: (output: number, row: number) => string) =>
    range(OUTPUTS).flatMap((output) => range(rows).map((row) => write(output, row))).join("\n");
  const ofRows = (write: (row: number) => string) => range(rows).map(write).join("\n");
  return `
(func $product${rows} (param $weights i32) (param $scales i32) (param $group i32) (param $x i32) (param $xScales i32)
  (param $y i32) (param $columns i32) (param $stride i32) (param $first i32) (param $last i32)
  (local $w i32) (local $end i32) (local $groupBytes i32) (local $groupEnd i32)
  (local $bytes v128) (local $low v128) (local $high v128)
  ${ofRows((row) => `(local $x${row} i32) (local $a${row} v128) (local $b${row} v128) (local $y${row} v128)`)}
  ${each((output, row) => `(local ${accumulator(output, row)} v128)`)}
  (local.set $w (i32.add (local.get $weights) (i32.mul (local.get $first) (local.get $columns))))
  (local.set $groupBytes (i32.mul (local.get $group) (i32.const ${OUTPUTS})))
  (local.set $scales (i32.add (local.get $scales) (i32.mul (i32.shl (local.get $first) (i32.const 2))
    (i32.div_u (i32.add (local.get $columns) (i32.sub (local.get $group) (i32.const 1))) (local.get $group)))))
  (loop $outputs
    (if (i32.ge_u (local.get $first) (local.get $last)) (then (return)))
    ${
    ofRows((row) => `
    (local.set $x${row} (i32.add (local.get $x) (i32.mul (i32.const ${2 * row}) (local.get $columns))))
    (local.set $y${row} (v128.const f32x4 0 0 0 0))`)
  }
    (local.set $end (i32.add (local.get $w) (i32.mul (i32.const ${OUTPUTS}) (local.get $columns))))
    (loop $groups
      ${each((output, row) => `(local.set ${accumulator(output, row)} (v128.const i32x4 0 0 0 0))`)}
      (local.set $groupEnd (i32.add (local.get $w) (local.get $groupBytes)))
      ;; The last group may have fewer columns.
      (if (i32.gt_u (local.get $groupEnd) (local.get $end)) (then (local.set $groupEnd (local.get $end))))
      (loop $inner
        ${
    ofRows((row) => `
        (local.set $a${row} (v128.load (local.get $x${row})))
        (local.set $b${row} (v128.load offset=16 (local.get $x${row})))
        (local.set $x${row} (i32.add (local.get $x${row}) (i32.const 32)))`)
  }
        ${
    range(OUTPUTS).map((output) => `
        (local.set $bytes (v128.load offset=${COLUMN_MULTIPLE * output} (local.get $w)))
        (local.set $low (i16x8.extend_low_i8x16_s (local.get $bytes)))
        (local.set $high (i16x8.extend_high_i8x16_s (local.get $bytes)))
        ${
      ofRows((row) => `
        (local.set ${accumulator(output, row)}
          (i32x4.add ${sum(output, row)} (i32x4.dot_i16x8_s (local.get $low) (local.get $a${row}))))
        (local.set ${accumulator(output, row)}
          (i32x4.add ${sum(output, row)} (i32x4.dot_i16x8_s (local.get $high) (local.get $b${row}))))`)
    }`).join("")
  }
        (br_if $inner (i32.lt_u
          (local.tee $w (i32.add (local.get $w) (i32.const ${OUTPUTS * COLUMN_MULTIPLE}))) (local.get $groupEnd))))
      ;; The four outputs' scales, times the sums over their four lanes each.
      (local.set $bytes (v128.load (local.get $scales)))
      (local.set $scales (i32.add (local.get $scales) (i32.const 16)))
      ${
    ofRows((row) => `
      (local.set $low ${halves(sum(0, row), sum(1, row))})
      (local.set $high ${halves(sum(2, row), sum(3, row))})
      (local.set $y${row} (f32x4.relaxed_madd (local.get $bytes)
        (f32x4.convert_i32x4_s ${pairs("(local.get $low)", "(local.get $high)")}) (local.get $y${row})))`)
  }
      (br_if $groups (i32.lt_u (local.get $w) (local.get $end))))
    ${
    ofRows((row) => `
    (v128.store
      (i32.add (i32.add (local.get $y) (i32.mul (i32.const ${row}) (local.get $stride)))
        (i32.shl (local.get $first) (i32.const 2)))
      (f32x4.mul (local.get $y${row}) (v128.load32_splat offset=${4 * row} (local.get $xScales))))`)
  }
    (local.set $first (i32.add (local.get $first) (i32.const ${OUTPUTS})))
    (br $outputs)))`;
}
