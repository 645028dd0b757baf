/**
 * @file Products of a few rows with a matrix of 8-bit weights, in WebAssembly's text format.
 *
 *     y[r][n] = weightScale[n] x rowScale[r] x sum over k of  weight[n][k] x row[r][k]       i8 x i16 -> i32
 *
 * onnxruntime reads f32 weights for each row that it multiplies, and the machine's memory is the limit; these are a quarter of
 * the bytes. Rows are rounded to 14 bits, each by its own scale, so that nothing is lost that weights of 8 bits would have told,
 * and what a row gets does not hang on the rows beside it. Sums are exact.
 */

/** Outputs that a loop computes together. */
export const OUTPUTS = 4;
/** Columns of weights, padded with zeros, are a multiple of this: a vector. */
export const COLUMN_MULTIPLE = 16;

/** Rows that a loop computes together: as many as accumulators fit into registers. */
export const ROW_COUNTS = [2, 1] as const;

/**
 * Where a weight lies in its matrix, in bytes: `[outputs / 4][columns / 16][4][16]`, the order in which a product reads them. A single
 * stream comes out of memory twice as fast as four.
 */
export function weightIndex(output: number, column: number, columns: number): number {
  const [within, lane] = [output % OUTPUTS, column % COLUMN_MULTIPLE];
  return (output - within) * columns + (column - lane) * OUTPUTS + within * COLUMN_MULTIPLE + lane;
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** The largest magnitude of a row's elements: with it no lane, which sums a quarter of `columns` products, leaves 32 bits. */
export function largestElement(columns: number): number {
  return Math.min(8191, Math.floor((2 ** 31 - 1) / (127 * columns / 4)));
}

/**
 * `$product<rows>`: outputs `first` to `last`, both multiples of {@link OUTPUTS}.
 *
 * weights i8, see {@link weightIndex}; scales f32 `[outputs]`; x i16 `[rows][columns]`; xScales f32 `[rows]`; y f32 `[rows][stride]`,
 * stride in bytes.
 */
export function productFunction(rows: number): string {
  const accumulator = (output: number, row: number) => `$sum${output}_${row}`;
  const each = (write: (output: number, row: number) => string) =>
    range(OUTPUTS).flatMap((output) => range(rows).map((row) => write(output, row))).join("\n");
  return `
(func $product${rows} (param $weights i32) (param $scales i32) (param $x i32) (param $xScales i32) (param $y i32)
  (param $columns i32) (param $stride i32) (param $first i32) (param $last i32)
  (local $w i32) (local $end i32) (local $bytes v128) (local $low v128) (local $high v128)
  ${range(rows).map((row) => `(local $x${row} i32) (local $a${row} v128) (local $b${row} v128)`).join(" ")}
  ${each((output, row) => `(local ${accumulator(output, row)} v128)`)}
  (loop $outputs
    (if (i32.ge_u (local.get $first) (local.get $last)) (then (return)))
    ${each((output, row) => `(local.set ${accumulator(output, row)} (v128.const i32x4 0 0 0 0))`)}
    ${
    range(rows).map((row) =>
      `(local.set $x${row} (i32.add (local.get $x) (i32.mul (i32.const ${2 * row}) (local.get $columns))))`
    ).join("\n")
  }
    (local.set $w (i32.add (local.get $weights) (i32.mul (local.get $first) (local.get $columns))))
    (local.set $end (i32.add (local.get $w) (i32.mul (i32.const ${OUTPUTS}) (local.get $columns))))
    (loop $inner
      ${
    range(rows).map((row) => `
      (local.set $a${row} (v128.load (local.get $x${row})))
      (local.set $b${row} (v128.load offset=16 (local.get $x${row})))
      (local.set $x${row} (i32.add (local.get $x${row}) (i32.const 32)))`).join("")
  }
      ${
    range(OUTPUTS).map((output) => `
      (local.set $bytes (v128.load offset=${COLUMN_MULTIPLE * output} (local.get $w)))
      (local.set $low (i16x8.extend_low_i8x16_s (local.get $bytes)))
      (local.set $high (i16x8.extend_high_i8x16_s (local.get $bytes)))
      ${
      range(rows).map((row) => `
      (local.set ${accumulator(output, row)} (i32x4.add (local.get ${accumulator(output, row)}) (i32x4.add
        (i32x4.dot_i16x8_s (local.get $low) (local.get $a${row}))
        (i32x4.dot_i16x8_s (local.get $high) (local.get $b${row})))))`).join("")
    }`).join("")
  }
      (br_if $inner (i32.lt_u
        (local.tee $w (i32.add (local.get $w) (i32.const ${OUTPUTS * COLUMN_MULTIPLE}))) (local.get $end))))
    ${
    each((output, row) => {
      const sum = accumulator(output, row);
      return `
    (f32.store
      (i32.add (i32.add (local.get $y) (i32.mul (i32.const ${row}) (local.get $stride)))
        (i32.shl (i32.add (local.get $first) (i32.const ${output})) (i32.const 2)))
      (f32.mul
        (call $total (local.get ${sum}))
        (f32.mul (f32.load offset=${4 * row} (local.get $xScales))
          (f32.load (i32.add (local.get $scales)
            (i32.shl (i32.add (local.get $first) (i32.const ${output})) (i32.const 2)))))))`;
    })
  }
    (local.set $first (i32.add (local.get $first) (i32.const ${OUTPUTS})))
    (br $outputs)))`;
}

/** `$total`: the sum of four lanes, which need not fit into one. */
export const TOTAL_FUNCTION = `
(func $total (param $lanes v128) (result f32) (local $pairs v128)
  (local.set $pairs (f64x2.add
    (f64x2.convert_low_i32x4_s (local.get $lanes))
    (f64x2.convert_low_i32x4_s
      (i8x16.shuffle 8 9 10 11 12 13 14 15 8 9 10 11 12 13 14 15 (local.get $lanes) (local.get $lanes)))))
  (f32.demote_f64 (f64.add (f64x2.extract_lane 0 (local.get $pairs)) (f64x2.extract_lane 1 (local.get $pairs)))))`;
