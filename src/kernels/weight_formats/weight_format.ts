/**
 * @file How weight matrices lie in GPU memory.
 *
 * Model files interleave quants and scales in blocks of 18 to 210 bytes, which a GPU can only load in scraps. At load
 * every matrix is repacked, without loss, into aligned planes: one of quants, the others of scales. A *unit* is the run
 * of a row's elements that one load of the quant plane yields; units of a matrix are numbered row by row.
 *
 *     file    | d q q q q | d q q q q | ...           one block after the other
 *     planes  | q q q q   | q q q q   | ...           plane 0: 8 or 16 bytes a unit
 *             | d d ...                               planes 1..: scales
 *
 * Every format decodes to `value = scale * q + offset`, with q as floats: kernels multiply by scale once per unit.
 * Block layouts: ggml's `block_q*` structures as the GGUF specification names them.
 */
import type { TensorType } from "../../formats/model_file.ts";

/** Columns of every matrix on the GPU are padded with zeros to a multiple of this. */
export const COLUMN_MULTIPLE = 32;

/** A storage format of weights and the code that reads it. */
export interface WeightFormat {
  readonly type: TensorType;
  /** Elements of a unit; a multiple of 4 that divides {@link COLUMN_MULTIPLE}. */
  readonly unit: number;
  /** WGSL element type of each plane. */
  readonly planes: readonly string[];
  /** Bytes of each plane per unit; may be a fraction. */
  readonly planeBytesPerUnit: readonly number[];
  /** Whether `scale` is other than 1, and `offset` other than 0. */
  readonly hasScale: boolean;
  readonly hasOffset: boolean;
  /**
   * WGSL statements that declare `q{s}_0`.. (vec4<f32>, `unit / 4` of them), `scale{s}` and `offset{s}` for the unit
   * whose index is the WGSL expression `index`; `s` is a suffix that keeps the names apart.
   */
  load(index: string, s: string): string;
  /**
   * Repacks whole rows as they lie in the file.
   *
   * @param bytes `rows` rows of `columns` elements in the file's layout
   * @param columns elements of a row; rows are padded with zeros to a multiple of {@link COLUMN_MULTIPLE}
   * @returns the planes' bytes for these rows
   */
  pack(bytes: Uint8Array<ArrayBuffer>, rows: number, columns: number): Uint8Array<ArrayBuffer>[];
}

/** Elements of a row on the GPU: `columns` rounded up to a multiple of {@link COLUMN_MULTIPLE}. */
export function paddedColumns(columns: number): number {
  return Math.ceil(columns / COLUMN_MULTIPLE) * COLUMN_MULTIPLE;
}

/** WGSL declarations of a format's planes as read-only storage from `@binding(first)` on, named `plane0`, `plane1`, ... */
export function planeDeclarations(format: WeightFormat, first: number): string {
  return format.planes.map((type, index) =>
    `@group(0) @binding(${first + index}) var<storage, read> plane${index}: array<${type}>;`
  ).join("\n");
}

/** WGSL functions that the formats' `load` statements call. */
export const WEIGHT_FUNCTIONS = `
fn half_of(word: u32, upper: bool) -> f32 {
  let halves = unpack2x16float(word);
  return select(halves.x, halves.y, upper);
}
fn low_nibbles(word: u32) -> vec4<f32> { return vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)); }
fn high_nibbles(word: u32) -> vec4<f32> { return vec4<f32>(unpack4xU8((word >> 4u) & 0x0f0f0f0fu)); }
`;
