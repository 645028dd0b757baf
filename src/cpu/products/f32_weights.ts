/**
 * @file Loads a model's weights into onnxruntime's memory, chunk by chunk: matrices as f32 `[inputs, outputs]`, the way that one
 * row times a matrix reads them from the first byte to the last, vectors as f32.
 *
 * Files hold matrices as `[outputs, inputs]`, so each chunk is turned. Query, key and value are one matrix. A matrix that serves
 * as embedding and as output lies there once.
 */
import { type ModelTensors, modelTensors, type TensorSlice } from "../../architecture/architectures.ts";
import type { ModelConfig } from "../../architecture/config.ts";
import type { ModelFile } from "../../formats/model_file.ts";
import type { HeapFloats, Onnxruntime } from "../runtime/onnxruntime.ts";
import { type LoadingProgress, StoredRows } from "./stored_rows.ts";
import { type Tensor, tensor } from "../runtime/session.ts";

/** A weight in the module's memory. */
export interface F32Weight {
  readonly floats: HeapFloats;
  readonly tensor: Tensor;
}

/** Sizes: see {@link ModelConfig}. */
export interface F32LayerWeights {
  /** `[hiddenSize]` */
  readonly attentionNorm: F32Weight;
  /** `[hiddenSize, queries + keys + values]` */
  readonly queryKeyValue: F32Weight;
  readonly queryKeyValueBias: F32Weight | null;
  /** `[headSize]` */
  readonly queryNorm: Float32Array | null;
  readonly keyNorm: Float32Array | null;
  /** `[queries, hiddenSize]` */
  readonly output: F32Weight;
  readonly outputBias: F32Weight | null;
  /** `[hiddenSize]` */
  readonly feedForwardNorm: F32Weight;
  /** `[hiddenSize, feedForwardSize]` */
  readonly gate: F32Weight;
  readonly up: F32Weight;
  /** `[feedForwardSize, hiddenSize]` */
  readonly down: F32Weight;
}

export interface F32Weights {
  /** `[hiddenSize, vocabularySize]` */
  readonly embedding: F32Weight;
  readonly layers: readonly F32LayerWeights[];
  readonly outputNorm: F32Weight;
  /** `[hiddenSize, vocabularySize]` */
  readonly output: F32Weight;
}

/** Rows of a chunk that are turned together, so that their elements go side by side into whole cache lines. */
const TURNED_ROWS = 16;

/**
 * Loads all weights of a model.
 *
 * @throws {ModelFileError} when a tensor is missing or has the wrong shape, or the file ends early
 */
export async function loadF32Weights(
  runtime: Onnxruntime,
  file: ModelFile,
  config: ModelConfig,
  onProgress: LoadingProgress,
): Promise<F32Weights> {
  return await new Loader(runtime, new StoredRows(file, onProgress)).load(modelTensors(file, config));
}

class Loader {
  constructor(readonly runtime: Onnxruntime, readonly stored: StoredRows) {}

  async load(tensors: ModelTensors): Promise<F32Weights> {
    const embedding = await this.#matrix([tensors.embedding]);
    const layers: F32LayerWeights[] = [];
    for (const layer of tensors.layers) {
      const { query, key, value, queryBias, keyBias, valueBias, queryNorm, keyNorm, outputBias } = layer;
      layers.push({
        attentionNorm: await this.#vector([layer.attentionNorm]),
        queryKeyValue: await this.#matrix([query, key, value]),
        queryKeyValueBias: queryBias && keyBias && valueBias
          ? await this.#vector([queryBias, keyBias, valueBias])
          : null,
        queryNorm: queryNorm ? await this.stored.vector([queryNorm]) : null,
        keyNorm: keyNorm ? await this.stored.vector([keyNorm]) : null,
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
  async #matrix(slices: readonly TensorSlice[]): Promise<F32Weight> {
    const inputs = slices[0].shape[1];
    const outputs = slices.reduce((sum, { shape }) => sum + shape[0], 0);
    const floats = this.runtime.floats(inputs * outputs);
    let column = 0;
    await this.stored.read(slices, (rows) => {
      turn(rows, inputs, floats.values.subarray(column), outputs);
      column += rows.length / inputs;
    });
    return { floats, tensor: tensor(this.runtime.module, floats.address, [inputs, outputs]) };
  }

  async #vector(slices: readonly TensorSlice[]): Promise<F32Weight> {
    const values = await this.stored.vector(slices);
    const floats = this.runtime.floats(values.length);
    floats.values.set(values);
    return { floats, tensor: tensor(this.runtime.module, floats.address, [values.length]) };
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
