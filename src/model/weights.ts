/**
 * @file Uploads a model's weights: matrices repacked into aligned planes, vectors as f32, chunk by chunk.
 *
 * Everything that multiplies an activation is a {@link Projection}: one or several matrices whose outputs lie side by
 * side. Neighbours of the same type become one matrix, so that Q, K and V (or gate and up) are one dispatch; a matrix
 * beyond what a binding holds is cut by rows.
 */
import { dequantise } from "../formats/quantisation.ts";
import { tensorByteLength } from "../formats/tensor_types.ts";
import type { ModelFile } from "../formats/model_file.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { COLUMN_MULTIPLE, paddedColumns, type WeightFormat } from "../kernels/weight_formats/weight_format.ts";
import { weightFormat } from "../kernels/weight_formats/weight_formats.ts";
import { type ModelTensors, modelTensors, type TensorSlice } from "../architecture/architectures.ts";
import type { ModelConfig } from "../architecture/config.ts";

/** A weight matrix on the GPU. */
export interface Matrix {
  readonly format: WeightFormat;
  readonly rows: number;
  /** Padded to a multiple of 32. */
  readonly columns: number;
  readonly planes: readonly GPUBuffer[];
}

/** Matrices that multiply the same input and whose outputs lie side by side. */
export interface Projection {
  readonly parts: readonly { readonly matrix: Matrix; readonly offset: number }[];
  /** Outputs of all parts. */
  readonly rows: number;
  /** f32 `[rows]`. */
  readonly bias?: GPUBuffer;
}

export interface LayerWeights {
  /** f32 `[hidden size, padded]`. */
  readonly attentionNorm: GPUBuffer;
  /** Queries, keys, values. */
  readonly queryKeyValue: Projection;
  /** f32 `[2, headSize]`: of queries, of keys. */
  readonly queryKeyNorms?: GPUBuffer;
  readonly output: Projection;
  /** f32 `[hidden size, padded]`. */
  readonly feedForwardNorm: GPUBuffer;
  /** Gate, zeros up to a multiple of 32 rows, up. */
  readonly gateUp: Projection;
  readonly down: Projection;
}

export interface Weights {
  readonly embedding: Projection;
  readonly layers: readonly LayerWeights[];
  /** f32 `[hidden size, padded]`. */
  readonly outputNorm: GPUBuffer;
  readonly output: Projection;
}

/** Told after every uploaded chunk. */
export type UploadProgress = (done: { tensors: number; bytes: number }) => void;

/** File bytes that are read, repacked and uploaded at a time. */
const CHUNK_BYTES = 16 * 2 ** 20;
/** Uploaded bytes after which the queue's staging memory is recycled. */
const RECYCLE_BYTES = 64 * 2 ** 20;
/** Chunks and parts start at multiples of this many rows, so that every plane starts at a whole word. */
const ROW_MULTIPLE = 32;

/**
 * Reads all weights of a model onto the GPU.
 *
 * @throws {ModelFileError} when a tensor is missing or has the wrong shape, or the file ends early
 */
export async function loadWeights(
  gpu: Gpu,
  file: ModelFile,
  config: ModelConfig,
  onProgress: UploadProgress = () => {},
): Promise<Weights> {
  return await new Uploader(gpu, file, onProgress).load(modelTensors(file, config));
}

class Uploader {
  #tensors = 0;
  #bytes = 0;
  #sinceRecycle = 0;

  constructor(readonly gpu: Gpu, readonly file: ModelFile, readonly onProgress: UploadProgress) {}

  async load(tensors: ModelTensors): Promise<Weights> {
    const layers: LayerWeights[] = [];
    const embedding = await this.projection([tensors.embedding]);
    for (const layer of tensors.layers) {
      const { query, key, value, queryBias, keyBias, valueBias, queryNorm, keyNorm } = layer;
      layers.push({
        attentionNorm: await this.vector([layer.attentionNorm]),
        queryKeyValue: await this.projection(
          [query, key, value],
          queryBias && keyBias && valueBias && [queryBias, keyBias, valueBias],
        ),
        queryKeyNorms: queryNorm && keyNorm && await this.vector([queryNorm, keyNorm]),
        output: await this.projection([layer.output], layer.outputBias && [layer.outputBias]),
        feedForwardNorm: await this.vector([layer.feedForwardNorm]),
        gateUp: await this.projection([layer.gate, layer.up], undefined, COLUMN_MULTIPLE),
        down: await this.projection([layer.down]),
      });
    }
    return {
      embedding,
      layers,
      outputNorm: await this.vector([tensors.outputNorm]),
      output: tensors.output === tensors.embedding ? embedding : await this.projection([tensors.output]),
    };
  }

  /**
   * Uploads matrices side by side; each starts at a multiple of `rowMultiple` rows. Rows between are zero.
   */
  async projection(
    slices: readonly TensorSlice[],
    biases?: readonly TensorSlice[],
    rowMultiple = 1,
  ): Promise<Projection> {
    const parts: { matrix: Matrix; offset: number }[] = [];
    let rows = 0;
    for (let i = 0; i < slices.length;) {
      const { type } = this.file.tensors.get(slices[i].name)!;
      let end = i + 1;
      while (end < slices.length && this.file.tensors.get(slices[end].name)!.type === type) end++;
      const offsets: number[] = [];
      let matrixRows = 0;
      for (const slice of slices.slice(i, end)) {
        offsets.push(matrixRows);
        matrixRows += Math.ceil(slice.shape[0] / rowMultiple) * rowMultiple;
      }
      for (const part of await this.#matrices(slices.slice(i, end), offsets, matrixRows)) {
        parts.push({ matrix: part.matrix, offset: rows + part.offset });
      }
      rows += matrixRows;
      i = end;
    }
    return { parts, rows, bias: biases && await this.vector(biases) };
  }

  /** Uploads f32 vectors one after the other, padded with zeros to a multiple of 32. */
  async vector(slices: readonly TensorSlice[]): Promise<GPUBuffer> {
    const length = slices.reduce((sum, slice) => sum + slice.shape[0], 0);
    const values = new Float32Array(paddedColumns(length));
    let at = 0;
    for (const { name, rows } of slices) {
      const { type, shape } = this.file.tensors.get(name)!;
      const all = dequantise(type, await this.file.readTensor(name), shape[0]);
      for (const [start, end] of rows) {
        values.set(all.subarray(start, end), at);
        at += end - start;
      }
      this.#count(tensorByteLength(type, [at]), 1);
    }
    return this.gpu.upload(slices[0].name, values);
  }

  /** Uploads same-typed slices at the given row offsets of one matrix, cut where a binding would be too large. */
  async #matrices(slices: readonly TensorSlice[], offsets: readonly number[], rows: number) {
    const { type } = this.file.tensors.get(slices[0].name)!;
    const format = weightFormat(type);
    const columns = slices[0].shape[1];
    const unitsPerRow = paddedColumns(columns) / format.unit;
    const rowBytes = format.planeBytesPerUnit.map((bytes) => bytes * unitsPerRow);
    const largest = Math.max(...rowBytes);
    const rowLimit = Math.floor(this.gpu.maxBindingBytes / largest / ROW_MULTIPLE) * ROW_MULTIPLE;
    if (rowLimit === 0) {
      throw new RangeError(`A row of tensor ${slices[0].name} exceeds what a binding of this adapter holds`);
    }
    const parts: { matrix: Matrix; offset: number }[] = [];
    for (let offset = 0; offset < rows; offset += rowLimit) {
      const partRows = Math.min(rowLimit, rows - offset);
      const planes = rowBytes.map((bytes, plane) =>
        this.gpu.createBuffer(`${slices[0].name} plane ${plane}`, bytes * partRows)
      );
      parts.push({ matrix: { format, rows: partRows, columns: paddedColumns(columns), planes }, offset });
    }

    const fileRowBytes = tensorByteLength(type, [1, columns]);
    const chunkRows = Math.max(ROW_MULTIPLE, Math.floor(CHUNK_BYTES / fileRowBytes / ROW_MULTIPLE) * ROW_MULTIPLE);
    for (const [i, slice] of slices.entries()) {
      let target = offsets[i];
      for (const [start, end] of slice.rows) {
        for (let row = start; row < end;) {
          const part = parts[Math.floor(target / rowLimit)];
          const count = Math.min(chunkRows, end - row, part.offset + part.matrix.rows - target);
          const bytes = await this.file.readTensor(slice.name, row * fileRowBytes, count * fileRowBytes);
          for (const [plane, data] of format.pack(bytes, count, columns).entries()) {
            this.gpu.write(part.matrix.planes[plane], (target - part.offset) * rowBytes[plane], data);
          }
          row += count;
          target += count;
          this.#count(bytes.byteLength, 0);
          await this.#recycle(bytes.byteLength);
        }
      }
      this.#count(0, 1);
    }
    return parts;
  }

  /** Lets the queue reuse the staging memory of what has been written: it only does so once work has been submitted. */
  async #recycle(bytes: number): Promise<void> {
    this.#sinceRecycle += bytes;
    if (this.#sinceRecycle < RECYCLE_BYTES) return;
    this.#sinceRecycle = 0;
    this.gpu.device.queue.submit([]);
    await this.gpu.device.queue.onSubmittedWorkDone();
  }

  #count(bytes: number, tensors: number): void {
    this.#bytes += bytes;
    this.#tensors += tensors;
    this.onProgress({ tensors: this.#tensors, bytes: this.#bytes });
  }
}
