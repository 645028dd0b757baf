/**
 * @file Loads a model's weights into onnxruntime's memory, chunk by chunk: matrices as f32 `[inputs, outputs]`, the way that one
 * row times a matrix reads them from the first byte to the last, vectors as f32.
 *
 * Files hold matrices as `[outputs, inputs]`, so each chunk is turned. Query, key and value are one matrix. A matrix that serves
 * as embedding and as output lies there once.
 */
import { type ModelTensors, modelTensors, type TensorSlice } from "../architecture/architectures.ts";
import type { ModelConfig } from "../architecture/config.ts";
import type { ModelFile } from "../formats/model_file.ts";
import { dequantise } from "../formats/quantisation.ts";
import { tensorByteLength } from "../formats/tensor_types.ts";
import { type HeapFloats, MEMORY_LIMIT, type Onnxruntime } from "./runtime/onnxruntime.ts";
import { type Tensor, tensor } from "./runtime/session.ts";

/** A weight in the module's memory. */
export interface Weight {
  readonly floats: HeapFloats;
  readonly tensor: Tensor;
}

/** Sizes: see {@link ModelConfig}. */
export interface LayerWeights {
  /** `[hiddenSize]` */
  readonly attentionNorm: Weight;
  /** `[hiddenSize, queries + keys + values]` */
  readonly queryKeyValue: Weight;
  readonly queryKeyValueBias: Weight | null;
  /** `[headSize]` */
  readonly queryNorm: Float32Array | null;
  readonly keyNorm: Float32Array | null;
  /** `[queries, hiddenSize]` */
  readonly output: Weight;
  readonly outputBias: Weight | null;
  /** `[hiddenSize]` */
  readonly feedForwardNorm: Weight;
  /** `[hiddenSize, feedForwardSize]` */
  readonly gate: Weight;
  readonly up: Weight;
  /** `[feedForwardSize, hiddenSize]` */
  readonly down: Weight;
}

export interface Weights {
  /** `[hiddenSize, vocabularySize]` */
  readonly embedding: Weight;
  readonly layers: readonly LayerWeights[];
  readonly outputNorm: Weight;
  /** `[hiddenSize, vocabularySize]` */
  readonly output: Weight;
}

/** Told after every chunk that has been loaded. */
export type LoadingProgress = (done: { readonly tensors: number; readonly bytes: number }) => void;

/** File bytes that are read at a time. */
const CHUNK_BYTES = 4 * 2 ** 20;
/** Rows of a chunk that are turned together, so that their elements go side by side into whole cache lines. */
const TURNED_ROWS = 16;

/** Bytes that a model's weights take as f32. */
export function weightBytes(file: ModelFile, config: ModelConfig): number {
  const { embedding, layers, outputNorm, output } = modelTensors(file, config);
  const slices = [embedding, outputNorm, ...output === embedding ? [] : [output], ...layers.flatMap(Object.values)];
  return slices.reduce(
    (sum, { shape }) => sum + 4 * shape.reduce((product: number, size: number) => product * size, 1),
    0,
  );
}

/**
 * Loads all weights of a model.
 *
 * @throws {ModelFileError} when a tensor is missing or has the wrong shape, or the file ends early
 * @throws {RangeError} when they do not fit into the memory that WebAssembly addresses
 */
export async function loadWeights(
  runtime: Onnxruntime,
  file: ModelFile,
  config: ModelConfig,
  onProgress: LoadingProgress = () => {},
): Promise<Weights> {
  const bytes = weightBytes(file, config);
  if (bytes >= MEMORY_LIMIT) {
    const gibibytes = (count: number) => (count / 2 ** 30).toFixed(1);
    const most = Math.floor(MEMORY_LIMIT / 4 / 1e8) / 10;
    throw new RangeError(
      `The weights of ${config.name} take ${gibibytes(bytes)} GiB in f32, but WebAssembly addresses ` +
        `${gibibytes(MEMORY_LIMIT)} GiB: on the CPU, a model can have about ${most} billion parameters`,
    );
  }
  return await new Loader(runtime, file, onProgress).load(modelTensors(file, config));
}

class Loader {
  #tensors = 0;
  #bytes = 0;

  constructor(readonly runtime: Onnxruntime, readonly file: ModelFile, readonly onProgress: LoadingProgress) {}

  async load(tensors: ModelTensors): Promise<Weights> {
    const embedding = await this.#matrix([tensors.embedding]);
    const layers: LayerWeights[] = [];
    for (const layer of tensors.layers) {
      const { query, key, value, queryBias, keyBias, valueBias, queryNorm, keyNorm, outputBias } = layer;
      layers.push({
        attentionNorm: await this.#vector([layer.attentionNorm]),
        queryKeyValue: await this.#matrix([query, key, value]),
        queryKeyValueBias: queryBias && keyBias && valueBias
          ? await this.#vector([queryBias, keyBias, valueBias])
          : null,
        queryNorm: queryNorm ? await this.#read([queryNorm]) : null,
        keyNorm: keyNorm ? await this.#read([keyNorm]) : null,
        output: await this.#matrix([layer.output]),
        outputBias: outputBias ? await this.#vector([outputBias]) : null,
        feedForwardNorm: await this.#vector([layer.feedForwardNorm]),
        gate: await this.#matrix([layer.gate]),
        up: await this.#matrix([layer.up]),
        down: await this.#matrix([layer.down]),
      });
    }
    return {
      embedding,
      layers,
      outputNorm: await this.#vector([tensors.outputNorm]),
      output: tensors.output === tensors.embedding ? embedding : await this.#matrix([tensors.output]),
    };
  }

  /** The turned matrix of slices whose outputs lie side by side. */
  async #matrix(slices: readonly TensorSlice[]): Promise<Weight> {
    const inputs = slices[0].shape[1];
    const outputs = slices.reduce((sum, { shape }) => sum + shape[0], 0);
    const floats = this.runtime.floats(inputs * outputs);
    let column = 0;
    for (const { name, rows } of slices) {
      const { type } = this.file.tensors.get(name)!;
      const rowBytes = tensorByteLength(type, [1, inputs]);
      const chunkRows = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
      for (const [start, end] of rows) {
        for (let row = start; row < end; row += chunkRows) {
          const count = Math.min(chunkRows, end - row);
          const bytes = await this.file.readTensor(name, row * rowBytes, count * rowBytes);
          turn(dequantise(type, bytes, count * inputs), inputs, floats.values.subarray(column), outputs);
          column += count;
          this.#count(bytes.byteLength, 0);
        }
      }
      this.#count(0, 1);
    }
    return { floats, tensor: tensor(this.runtime, floats.address, [inputs, outputs]) };
  }

  async #vector(slices: readonly TensorSlice[]): Promise<Weight> {
    const values = await this.#read(slices);
    const floats = this.runtime.floats(values.length);
    floats.values.set(values);
    return { floats, tensor: tensor(this.runtime, floats.address, [values.length]) };
  }

  /** Vectors, one after the other. */
  async #read(slices: readonly TensorSlice[]): Promise<Float32Array> {
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

/** Writes rows of `columns` elements as the first columns of `target`, whose rows have `stride` elements. */
function turn(rows: Float32Array, columns: number, target: Float32Array, stride: number): void {
  const count = rows.length / columns;
  for (let first = 0; first < count; first += TURNED_ROWS) {
    const last = Math.min(first + TURNED_ROWS, count);
    for (let k = 0; k < columns; k++) {
      const at = k * stride;
      for (let row = first; row < last; row++) target[at + row] = rows[row * columns + k];
    }
  }
}
