/** @file All weights of a model in the module's memory, in whatever form its matrices and vectors are kept. */
import { modelTensors, type TensorSlice } from "../../architecture/architectures.ts";
import type { ModelConfig } from "../../architecture/config.ts";
import type { ModelFile } from "../../formats/model_file.ts";
import { type LoadingProgress, StoredRows } from "./stored_rows.ts";

/** Sizes: see {@link ModelConfig}. A matrix has inputs by outputs, in the order that its form says. */
export interface LayerWeights<Matrix, Vector, GateUp> {
  /** `[hiddenSize]` */
  readonly attentionNorm: Vector;
  /** `hiddenSize` by queries, keys and values. */
  readonly queryKeyValue: Matrix;
  readonly queryKeyValueBias: Vector | null;
  /** `[headSize]` */
  readonly queryNorm: Float32Array | null;
  readonly keyNorm: Float32Array | null;
  /** Queries by `hiddenSize`. */
  readonly output: Matrix;
  readonly outputBias: Vector | null;
  /** `[hiddenSize]` */
  readonly feedForwardNorm: Vector;
  /** `hiddenSize` by `feedForwardSize`, twice. */
  readonly gateUp: GateUp;
  /** `feedForwardSize` by `hiddenSize`. */
  readonly down: Matrix;
}

export interface Weights<Matrix, Vector, GateUp> {
  /** `hiddenSize` by `vocabularySize`. */
  readonly embedding: Matrix;
  readonly layers: readonly LayerWeights<Matrix, Vector, GateUp>[];
  readonly outputNorm: Vector;
  /** `hiddenSize` by `vocabularySize`; the embedding itself where one matrix serves as both. */
  readonly output: Matrix;
}

/** How weights are kept. */
export interface WeightForm<Matrix, Vector, GateUp> {
  /** Keeps the matrix of slices whose outputs lie side by side. */
  matrix(stored: StoredRows, slices: readonly TensorSlice[]): Promise<Matrix>;
  queryKeyValue(stored: StoredRows, slices: readonly TensorSlice[]): Promise<Matrix>;
  vector(values: Float32Array): Vector;
  gateUp(stored: StoredRows, gate: TensorSlice, up: TensorSlice): Promise<GateUp>;
}

/**
 * Loads all weights of a model, chunk by chunk.
 *
 * @throws {ModelFileError} when a tensor is missing or has the wrong shape, or the file ends early
 */
export async function loadWeights<Matrix, Vector, GateUp>(
  file: ModelFile,
  config: ModelConfig,
  form: WeightForm<Matrix, Vector, GateUp>,
  onProgress: LoadingProgress,
): Promise<Weights<Matrix, Vector, GateUp>> {
  const tensors = modelTensors(file, config);
  const stored = new StoredRows(file, onProgress);
  const matrix = (...slices: TensorSlice[]) => form.matrix(stored, slices);
  const vector = async (...slices: TensorSlice[]) => form.vector(await stored.vector(slices));
  const embedding = await matrix(tensors.embedding);
  const layers: LayerWeights<Matrix, Vector, GateUp>[] = [];
  for (const layer of tensors.layers) {
    const { query, key, value, queryBias, keyBias, valueBias, queryNorm, keyNorm, outputBias } = layer;
    layers.push({
      attentionNorm: await vector(layer.attentionNorm),
      queryKeyValue: await form.queryKeyValue(stored, [query, key, value]),
      queryKeyValueBias: queryBias && keyBias && valueBias ? await vector(queryBias, keyBias, valueBias) : null,
      queryNorm: queryNorm ? await stored.vector([queryNorm]) : null,
      keyNorm: keyNorm ? await stored.vector([keyNorm]) : null,
      output: await matrix(layer.output),
      outputBias: outputBias ? await vector(outputBias) : null,
      feedForwardNorm: await vector(layer.feedForwardNorm),
      gateUp: await form.gateUp(stored, layer.gate, layer.up),
      down: await matrix(layer.down),
    });
  }
  return {
    embedding,
    layers,
    outputNorm: await vector(tensors.outputNorm),
    output: tensors.output === tensors.embedding ? embedding : await matrix(tensors.output),
  };
}
