/** @file Random matrices in every weight format, and what they are in f64. */
import { dequantise, quantise } from "../../src/formats/quantisation.ts";
import type { TensorType } from "../../src/formats/model_file.ts";
import { paddedColumns, weightFormat } from "../../src/kernels/weight_formats.ts";
import { normalValues } from "./random.ts";

/** A matrix as a file stores it, as the GPU holds it, and as numbers. */
export interface TestMatrix {
  readonly rows: number;
  readonly columns: number;
  /** Bytes as in a file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly planes: Uint8Array<ArrayBuffer>[];
  /** `[rows][paddedColumns]` decoded values. */
  readonly values: Float64Array;
}

export function randomMatrix(random: () => number, type: TensorType, rows: number, columns: number): TestMatrix {
  const bytes = quantise(type, normalValues(random, rows * columns, 1 / Math.sqrt(columns))) as Uint8Array<ArrayBuffer>;
  const decoded = dequantise(type, bytes, rows * columns);
  const padded = paddedColumns(columns);
  const values = new Float64Array(rows * padded);
  for (let row = 0; row < rows; row++) values.set(decoded.subarray(row * columns, (row + 1) * columns), row * padded);
  return { rows, columns, bytes, planes: weightFormat(type).pack(bytes, rows, columns), values };
}

/** Random rows of `width` f32 values, zero-padded to `stride`. */
export function randomRows(
  random: () => number,
  rows: number,
  width: number,
  stride: number,
): Float32Array<ArrayBuffer> {
  const values = new Float32Array(rows * stride);
  for (let row = 0; row < rows; row++) values.set(normalValues(random, width), row * stride);
  return values;
}
