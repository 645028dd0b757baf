/**
 * @file How each tensor type lays out its elements: blocks of a fixed number of elements in a fixed number of bytes.
 *
 * A row of a tensor is a whole number of blocks; blocks never straddle rows. The layout inside a block is described in
 * quantisation.ts. Numbers are those of GGML's `ggml_type` (ggml/include/ggml.h) and its block structures
 * (ggml/src/ggml-common.h).
 */

import type { TensorType } from "./model_file.ts";

export interface TensorTypeLayout {
  /** Elements per block. */
  readonly blockElements: number;
  /** Bytes per block. */
  readonly blockBytes: number;
  /** The type's number in a GGUF file. */
  readonly ggufTypeId: number;
}

export const TENSOR_TYPES: Readonly<Record<TensorType, TensorTypeLayout>> = {
  F32: { blockElements: 1, blockBytes: 4, ggufTypeId: 0 },
  F16: { blockElements: 1, blockBytes: 2, ggufTypeId: 1 },
  BF16: { blockElements: 1, blockBytes: 2, ggufTypeId: 30 },
  Q8_0: { blockElements: 32, blockBytes: 34, ggufTypeId: 8 },
  Q4_0: { blockElements: 32, blockBytes: 18, ggufTypeId: 2 },
  Q4_1: { blockElements: 32, blockBytes: 20, ggufTypeId: 3 },
  Q5_0: { blockElements: 32, blockBytes: 22, ggufTypeId: 6 },
  Q5_1: { blockElements: 32, blockBytes: 24, ggufTypeId: 7 },
  Q4_K: { blockElements: 256, blockBytes: 144, ggufTypeId: 12 },
  Q5_K: { blockElements: 256, blockBytes: 176, ggufTypeId: 13 },
  Q6_K: { blockElements: 256, blockBytes: 210, ggufTypeId: 14 },
};

/** The names of all tensor types that Ebb reads. */
export const TENSOR_TYPE_NAMES = Object.keys(TENSOR_TYPES) as readonly TensorType[];

/** How many elements a tensor of this shape holds; 1 for the shape `[]`. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * The size in bytes of a tensor's data.
 *
 * @param shape row-major, outermost dimension first
 * @throws {RangeError} when a row is not a whole number of blocks
 */
export function tensorByteLength(type: TensorType, shape: readonly number[]): number {
  const { blockElements, blockBytes } = TENSOR_TYPES[type];
  const rowElements = shape.at(-1) ?? 1;
  if (rowElements % blockElements !== 0) {
    throw new RangeError(
      `A row of ${rowElements} elements cannot be stored as ${type}: expected a multiple of ${blockElements}`,
    );
  }
  return elementCount(shape) / blockElements * blockBytes;
}
