/** @file Reads weights out of a model file as f32, rows at a time, and tells how far it has come. */
import type { TensorSlice } from "../../architecture/architectures.ts";
import type { ModelFile } from "../../formats/model_file.ts";
import { dequantise } from "../../formats/quantisation.ts";
import { tensorByteLength } from "../../formats/tensor_types.ts";

/** Told after every chunk that has been loaded. */
export type LoadingProgress = (done: { readonly tensors: number; readonly bytes: number }) => void;

/** File bytes that are read at a time. */
const CHUNK_BYTES = 4 * 2 ** 20;

export class StoredRows {
  #tensors = 0;
  #bytes = 0;

  constructor(readonly file: ModelFile, readonly onProgress: LoadingProgress) {}

  /** Reads the rows of matrices, one after the other: `[count, columns]` at a time. */
  async read(slices: readonly TensorSlice[], take: (rows: Float32Array) => void): Promise<void> {
    for (const { name, shape: [, columns], rows } of slices) {
      const { type } = this.file.tensors.get(name)!;
      const rowBytes = tensorByteLength(type, [1, columns]);
      const chunkRows = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
      for (const [start, end] of rows) {
        for (let row = start; row < end; row += chunkRows) {
          const count = Math.min(chunkRows, end - row);
          const bytes = await this.file.readTensor(name, row * rowBytes, count * rowBytes);
          take(dequantise(type, bytes, count * columns));
          this.#count(bytes.byteLength, 0);
        }
      }
      this.#count(0, 1);
    }
  }

  /** Vectors, one after the other. */
  async vector(slices: readonly TensorSlice[]): Promise<Float32Array> {
    const parts: number[] = [];
    for (const { name, rows } of slices) {
      const { type, shape, byteLength } = this.file.tensors.get(name)!;
      const all = dequantise(type, await this.file.readTensor(name), shape[0]);
      for (const [start, end] of rows) parts.push(...all.subarray(start, end));
      this.#count(byteLength, 1);
    }
    return Float32Array.from(parts);
  }

  #count(bytes: number, tensors: number): void {
    this.#bytes += bytes;
    this.#tensors += tensors;
    this.onProgress({ tensors: this.#tensors, bytes: this.#bytes });
  }
}
