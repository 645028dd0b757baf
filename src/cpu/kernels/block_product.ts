/** @file Products of blocks of f32 as attention has them, in WebAssembly's text format: 4 rows x 8 columns stay in registers. */
import { range } from "./vectors.ts";

/** Columns that a product takes in one go. */
const UNROLLED = 4;

/**
 * A block of 4 rows x 8 columns of a product: `c = shrink c + a b`. Without `shrinks`, `c = a b`.
 *
 * a f32 `[4]`, rows `stride` bytes apart; b f32 `[inner][8]`, rows `bStride` apart; c f32 `[4][8]`, rows `cStride` apart.
 */
export function blockProduct(name: string, stride: number, isAdded: boolean): string {
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
