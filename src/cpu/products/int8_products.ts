/**
 * @file Products with weights of 8 bits: our own kernels read a quarter of the bytes that f32 has, and multiply twice as fast as
 * onnxruntime's f32 does. Rows are rounded on their way in, each by a scale of its own, so that what a row gets does not hang on those
 * beside it.
 */
import type { ModelConfig } from "../../architecture/config.ts";
import type { ModelFile } from "../../formats/model_file.ts";
import { Crew, type Int8Matrix, type OtherThreads, type RoundedRows, type RowsMade } from "../kernels/crew.ts";
import { COLUMN_MULTIPLE, scaleIndex, weightIndex } from "../kernels/int8_product.ts";
import { ELEMENT_MULTIPLE } from "../kernels/row_rounding.ts";
import { rehearsalScratchBytes } from "../kernels/rehearsal.ts";
import { tileScratchBytes } from "../kernels/tile_attention.ts";
import type { HeapFloats, Onnxruntime } from "../runtime/onnxruntime.ts";
import { queryKeyValueSize } from "./graphs.ts";
import { Int8Form, type Int8Weights } from "./int8_weights.ts";
import { type Products, type QueryKeyNorms, TILE_ROWS } from "./products.ts";
import type { LoadingProgress } from "./stored_rows.ts";
import { loadWeights } from "./weights.ts";

/** Whether a model's matrices have sizes that they can be kept in 8 bits with. */
export function fitsInt8({ hiddenSize, feedForwardSize, queryHeadCount, headSize }: ModelConfig): boolean {
  return [hiddenSize, feedForwardSize, queryHeadCount * headSize].every((size) => size % ELEMENT_MULTIPLE === 0);
}

export class Int8Products implements Products {
  readonly norms: readonly QueryKeyNorms[];
  readonly outputNorm: Float32Array;
  /** Most rows of a product. */
  readonly #maxRows: number;
  /** Rows on their way into a product: i16 `[rows][widest columns]`, and the scale of each. */
  readonly #rounded: number;
  readonly #scales: HeapFloats;
  /** f32 `[rows][widest outputs]`. */
  readonly #products: HeapFloats;

  private constructor(
    readonly runtime: Onnxruntime,
    readonly config: ModelConfig,
    readonly weights: Int8Weights,
    readonly crew: Crew,
    maxBatch: number,
  ) {
    this.norms = weights.layers;
    this.outputNorm = weights.outputNorm.values;
    this.#maxRows = Math.max(TILE_ROWS, maxBatch);
    const { hiddenSize, feedForwardSize, queryHeadCount, headSize } = config;
    const widest = Math.max(hiddenSize, feedForwardSize, queryHeadCount * headSize) + COLUMN_MULTIPLE;
    this.#rounded = runtime.bytes(this.#maxRows * widest * 2).address;
    this.#scales = runtime.floats(this.#maxRows);
    const outputs = weights.layers.map(({ queryKeyValue, output, gateUp, down }) =>
      Math.max(queryKeyValue.outputs, output.outputs, gateUp.outputs, down.outputs)
    );
    this.#products = runtime.floats(this.#maxRows * Math.max(...outputs));
  }

  /**
   * Starts the threads and loads the weights.
   *
   * @param maxBatch most rows of a decode step
   * @param others the threads beside this one
   * @throws {ModelFileError}
   */
  static async load(
    runtime: Onnxruntime,
    file: ModelFile,
    config: ModelConfig,
    maxBatch: number,
    others: OtherThreads,
    onProgress: LoadingProgress = () => {},
  ): Promise<Int8Products> {
    const { queryHeadCount, kvHeadCount, headSize } = config;
    // First, so that the others start while the weights are read.
    const scratch = Math.max(tileScratchBytes(queryHeadCount / kvHeadCount, headSize), rehearsalScratchBytes(headSize));
    const crew = await Crew.start(runtime, others, scratch);
    const weights = await loadWeights(file, config, new Int8Form(runtime), onProgress);
    return new Int8Products(runtime, config, weights, crew, maxBatch);
  }

  embed(token: number, target: Float32Array, at: number): void {
    const { values, scaleValues, group, columns } = this.weights.embedding;
    const groups = Math.ceil(columns / group);
    for (let i = 0; i < this.config.hiddenSize; i++) {
      const scale = scaleValues[scaleIndex(token, Math.floor(i / group), groups)];
      target[at + i] = scale * values[weightIndex(token, i, columns)];
    }
  }

  queryKeyValue(layer: number, hidden: number, rows: number, y: number): void {
    const { attentionNorm, queryKeyValue, queryKeyValueBias } = this.weights.layers[layer];
    const size = queryKeyValueSize(this.config);
    this.#roundNormed(hidden, rows, attentionNorm, queryKeyValue);
    this.#multiply(queryKeyValue, rows, y, size);
    if (queryKeyValueBias === null) return;
    const results = this.#floats(y, rows * size);
    for (let i = 0; i < results.length; i++) results[i] += queryKeyValueBias.values[i % size];
  }

  afterAttention(layer: number, attended: number, hidden: number, rows: number): void {
    const { output, outputBias, feedForwardNorm, gateUp, down } = this.weights.layers[layer];
    const { feedForwardSize, queryHeadCount, headSize } = this.config;
    const querySize = queryHeadCount * headSize;
    this.#round(attended, querySize, querySize, rows, output, { by: "roundPlain" });
    this.#addProduct(output, rows, hidden, outputBias?.values ?? null);

    this.#roundNormed(hidden, rows, feedForwardNorm, gateUp);
    const { address } = this.#products;
    this.#multiply(gateUp, rows, address, gateUp.outputs);
    this.#round(address, gateUp.outputs, feedForwardSize, rows, down, { by: "roundGated" });
    this.#addProduct(down, rows, hidden, null);
  }

  logits(hidden: number, rows: number, y: number): void {
    const { outputNorm, output } = this.weights;
    const { vocabularySize } = this.config;
    for (let first = 0; first < rows; first += this.#maxRows) {
      const count = Math.min(this.#maxRows, rows - first);
      this.#roundNormed(hidden + first * this.config.hiddenSize * 4, count, outputNorm, output);
      const rowBytes = vocabularySize * 4;
      if (output.outputs === vocabularySize) {
        this.#multiply(output, count, y + first * rowBytes, vocabularySize);
        continue;
      }
      // A row's outputs that fill up its last vector lie where the next row begins: that is computed afterwards.
      for (let row = 0; row < count; row++) {
        const x = this.#rounded + row * output.columns * 2;
        const scale = this.#scales.address + row * 4;
        this.crew.multiply(output, 1, x, scale, y + (first + row) * rowBytes, rowBytes);
      }
    }
  }

  close(): void {
    this.crew.close();
  }

  /** Adds the product of the rounded rows, and a bias, to hidden states. */
  #addProduct(matrix: Int8Matrix, rows: number, hidden: number, bias: Float32Array | null): void {
    const { hiddenSize } = this.config;
    this.#multiply(matrix, rows, this.#products.address, matrix.outputs);
    const states = this.#floats(hidden, rows * hiddenSize);
    const { values } = this.#products;
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < hiddenSize; i++) {
        states[row * hiddenSize + i] += values[row * matrix.outputs + i] + (bias === null ? 0 : bias[i]);
      }
    }
  }

  /** The product of the rounded rows with a matrix. */
  #multiply(matrix: Int8Matrix, rows: number, y: number, stride: number): void {
    this.crew.multiply(matrix, rows, this.#rounded, this.#scales.address, y, stride * 4);
  }

  #roundNormed(hidden: number, rows: number, { address: weights }: HeapFloats, matrix: Int8Matrix): void {
    const { hiddenSize, rmsNormEpsilon: epsilon } = this.config;
    this.#round(hidden, hiddenSize, hiddenSize, rows, matrix, { by: "roundNormed", weights, epsilon });
  }

  /** Rounds rows of `count` elements, `stride` elements apart, for a product with a matrix. */
  #round(x: number, stride: number, count: number, rows: number, { columns }: Int8Matrix, made: RowsMade): void {
    const target: RoundedRows = { address: this.#rounded, scales: this.#scales.address, columns };
    this.crew.round(x, stride * 4, count, rows, target, made);
  }

  #floats(address: number, count: number): Float32Array {
    return new Float32Array(this.runtime.memory.buffer, address, count);
  }
}
