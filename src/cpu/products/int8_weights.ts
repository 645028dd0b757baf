/**
 * @file Loads a model's matrices as 8-bit numbers, each output with a scale of its own, in the order in which products read them;
 * inputs are padded with zeros to whole vectors.
 */
import { type ModelTensors, modelTensors, type TensorSlice } from "../../architecture/architectures.ts";
import type { ModelConfig } from "../../architecture/config.ts";
import type { ModelFile } from "../../formats/model_file.ts";
import type { Int8Matrix } from "../kernels/crew.ts";
import { COLUMN_MULTIPLE, OUTPUTS, weightIndex } from "../kernels/int8_product.ts";
import type { Onnxruntime } from "../runtime/onnxruntime.ts";
import { type LoadingProgress, StoredRows } from "./stored_rows.ts";

/** A matrix whose elements can be looked at. */
export interface Int8Weight extends Int8Matrix {
  /** See `weightIndex`. */
  readonly values: Int8Array;
  /** `[outputs]` */
  readonly scaleValues: Float32Array;
}

/** A vector, in the module's memory. */
export interface Vector {
  readonly address: number;
  readonly values: Float32Array;
}

/** Sizes: see {@link ModelConfig}. */
export interface Int8LayerWeights {
  readonly attentionNorm: Vector;
  /** Queries, keys, values. */
  readonly queryKeyValue: Int8Weight;
  readonly queryKeyValueBias: Vector | null;
  readonly queryNorm: Float32Array | null;
  readonly keyNorm: Float32Array | null;
  readonly output: Int8Weight;
  readonly outputBias: Vector | null;
  readonly feedForwardNorm: Vector;
  /** Gate, then up. */
  readonly gateUp: Int8Weight;
  readonly down: Int8Weight;
}

export interface Int8Weights {
  readonly embedding: Int8Weight;
  readonly layers: readonly Int8LayerWeights[];
  readonly outputNorm: Vector;
  readonly output: Int8Weight;
}

/**
 * Loads all weights of a model.
 *
 * @throws {ModelFileError} when a tensor is missing or has the wrong shape, or the file ends early
 */
export async function loadInt8Weights(
  runtime: Onnxruntime,
  file: ModelFile,
  config: ModelConfig,
  onProgress: LoadingProgress,
): Promise<Int8Weights> {
  return await new Loader(runtime, new StoredRows(file, onProgress)).load(modelTensors(file, config));
}

class Loader {
  constructor(readonly runtime: Onnxruntime, readonly stored: StoredRows) {}

  async load(tensors: ModelTensors): Promise<Int8Weights> {
    const embedding = await this.#matrix([tensors.embedding]);
    const layers: Int8LayerWeights[] = [];
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
        gateUp: await this.#matrix([layer.gate, layer.up]),
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

  async #matrix(slices: readonly TensorSlice[]): Promise<Int8Weight> {
    const inputs = slices[0].shape[1];
    const columns = roundUp(inputs, COLUMN_MULTIPLE);
    const outputs = roundUp(slices.reduce((sum, { shape }) => sum + shape[0], 0), OUTPUTS);
    const weights = this.runtime.bytes(outputs * columns);
    const scales = this.runtime.floats(outputs);
    const values = new Int8Array(weights.values.buffer, weights.address, outputs * columns);
    if (columns > inputs || outputs % OUTPUTS !== 0) values.fill(0);
    scales.values.fill(0);
    let output = 0;
    await this.stored.read(slices, (rows) => {
      for (let from = 0; from < rows.length; from += inputs) {
        scales.values[output] = quantiseOutput(rows, from, inputs, values, output, columns);
        output++;
      }
    });
    return { weights: weights.address, scales: scales.address, outputs, columns, values, scaleValues: scales.values };
  }

  async #vector(slices: readonly TensorSlice[]): Promise<Vector> {
    const values = await this.stored.vector(slices);
    const floats = this.runtime.floats(values.length);
    floats.values.set(values);
    return floats;
  }
}

/** Rounds the weights of an output to 8 bits, puts them where they belong and returns their scale. */
function quantiseOutput(
  rows: Float32Array,
  from: number,
  count: number,
  target: Int8Array,
  output: number,
  columns: number,
): number {
  let largest = 0;
  for (let i = 0; i < count; i++) largest = Math.max(largest, Math.abs(rows[from + i]));
  const perScale = largest > 0 ? 127 / largest : 0;
  for (let first = 0; first < count; first += COLUMN_MULTIPLE) {
    const at = weightIndex(output, first, columns);
    const end = Math.min(COLUMN_MULTIPLE, count - first);
    for (let i = 0; i < end; i++) target[at + i] = Math.round(rows[from + first + i] * perScale);
  }
  return largest / 127;
}

function roundUp(count: number, multiple: number): number {
  return Math.ceil(count / multiple) * multiple;
}
