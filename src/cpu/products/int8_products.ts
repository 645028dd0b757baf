/**
 * @file Products with weights of 8 bits. Rows of a decode step go through our own kernels, which read a quarter of the bytes that f32
 * has; for tiles of prompts, where arithmetic is the limit, a layer's weights are expanded to f32 once and onnxruntime multiplies.
 */
import type { ModelConfig } from "../../architecture/config.ts";
import type { ModelFile } from "../../formats/model_file.ts";
import { Crew, type Int8Matrix } from "../kernels/crew.ts";
import { COLUMN_MULTIPLE, largestElement, weightIndex } from "../kernels/int8_product.ts";
import type { HeapFloats, Onnxruntime } from "../runtime/onnxruntime.ts";
import type { Session } from "../runtime/session.ts";
import { afterAttention, beforeAttention, queryKeyValueSize } from "./graphs.ts";
import { Int8Form, type Int8LayerWeights, type Int8Weights } from "./int8_weights.ts";
import type { Products, QueryKeyNorms, RowsOf } from "./products.ts";
import { runGraph } from "./run_graph.ts";
import type { LoadingProgress } from "./stored_rows.ts";
import { loadWeights } from "./weights.ts";

/** What inputs of matrices must be a multiple of, to be expanded. */
const INPUT_MULTIPLE = 8;

/** Whether a model's matrices have sizes that they can be kept in 8 bits with. */
export function fitsInt8({ hiddenSize, feedForwardSize, queryHeadCount, headSize }: ModelConfig): boolean {
  return [hiddenSize, feedForwardSize, queryHeadCount * headSize].every((size) => size % INPUT_MULTIPLE === 0);
}

export class Int8Products implements Products {
  readonly norms: readonly QueryKeyNorms[];
  readonly outputNorm: Float32Array;
  /** Rows on their way into a product, rounded: i16 `[rows][columns]`, and the scale of each. */
  readonly #rounded: Int16Array;
  readonly #roundedAddress: number;
  readonly #scales: HeapFloats;
  /** f32 `[rows][widest outputs]`. */
  readonly #products: HeapFloats;
  readonly #row: Float32Array;
  /** One layer's matrices as f32, made when a tile needs them. */
  #expanded: HeapFloats | null = null;
  #expandedLayer = -1;

  private constructor(
    readonly runtime: Onnxruntime,
    readonly config: ModelConfig,
    readonly weights: Int8Weights,
    readonly crew: Crew,
    readonly before: Session,
    readonly after: Session,
    readonly afterWithBias: Session,
    readonly maxRows: number,
  ) {
    this.norms = weights.layers;
    this.outputNorm = weights.outputNorm.values;
    const { hiddenSize, feedForwardSize, queryHeadCount, headSize } = config;
    const widest = Math.max(hiddenSize, feedForwardSize, queryHeadCount * headSize) + COLUMN_MULTIPLE;
    const rounded = runtime.bytes(maxRows * widest * 2);
    this.#roundedAddress = rounded.address;
    this.#rounded = new Int16Array(runtime.memory.buffer, rounded.address, maxRows * widest);
    this.#scales = runtime.floats(maxRows);
    const outputs = weights.layers.map(({ queryKeyValue, output, gateUp, down }) =>
      Math.max(queryKeyValue.outputs, output.outputs, gateUp.outputs, down.outputs)
    );
    this.#products = runtime.floats(maxRows * Math.max(...outputs));
    this.#row = new Float32Array(widest);
  }

  /** Loads the weights, starts the threads and compiles the graphs. @throws {ModelFileError} */
  static async load(
    runtime: Onnxruntime,
    file: ModelFile,
    config: ModelConfig,
    maxRows: number,
    onProgress: LoadingProgress = () => {},
  ): Promise<Int8Products> {
    const weights = await loadWeights(file, config, new Int8Form(runtime), onProgress);
    return new Int8Products(
      runtime,
      config,
      weights,
      await Crew.start(runtime),
      await runtime.session(beforeAttention(config, "turned")),
      await runtime.session(afterAttention(config, false, "turned")),
      await runtime.session(afterAttention(config, true, "turned")),
      maxRows,
    );
  }

  embed(token: number, target: Float32Array, at: number): void {
    const { values, scaleValues, columns } = this.weights.embedding;
    const scale = scaleValues[token];
    for (let i = 0; i < this.config.hiddenSize; i++) target[at + i] = scale * values[weightIndex(token, i, columns)];
  }

  queryKeyValue(layer: number, hidden: number, rows: number, of: RowsOf, y: number): void {
    const weights = this.weights.layers[layer];
    const { attentionNorm, queryKeyValue, queryKeyValueBias } = weights;
    const { hiddenSize } = this.config;
    const size = queryKeyValueSize(this.config);
    if (of === "tile") {
      const { queryKeyValue } = this.#expand(layer);
      runGraph(this.runtime, this.before, [
        [hidden, [rows, hiddenSize]],
        [attentionNorm.address, [hiddenSize]],
        [queryKeyValue, [size, hiddenSize]],
        ...queryKeyValueBias ? [[queryKeyValueBias.address, [size]] as const] : [],
      ], [[y, [rows, size]]]);
      return;
    }
    this.#roundNormed(hidden, rows, attentionNorm.values, queryKeyValue.columns);
    this.#multiply(queryKeyValue, rows, y, size);
    if (queryKeyValueBias === null) return;
    const results = this.#floats(y, rows * size);
    for (let i = 0; i < results.length; i++) results[i] += queryKeyValueBias.values[i % size];
  }

  afterAttention(layer: number, attended: number, hidden: number, rows: number, of: RowsOf): void {
    if (of === "tile") this.#afterTile(layer, attended, hidden, rows);
    else this.#afterStep(this.weights.layers[layer], attended, hidden, rows);
  }

  logits(hidden: number, rows: number, y: number): void {
    const { outputNorm, output } = this.weights;
    const { vocabularySize } = this.config;
    for (let first = 0; first < rows; first += this.maxRows) {
      const count = Math.min(this.maxRows, rows - first);
      this.#roundNormed(hidden + first * this.config.hiddenSize * 4, count, outputNorm.values, output.columns);
      const rowBytes = vocabularySize * 4;
      if (output.outputs === vocabularySize) {
        this.#multiply(output, count, y + first * rowBytes, vocabularySize);
        continue;
      }
      // A row's outputs that fill up its last vector lie where the next row begins: that is computed afterwards.
      for (let row = 0; row < count; row++) {
        const x = this.#roundedAddress + row * output.columns * 2;
        const scale = this.#scales.address + row * 4;
        this.crew.multiply(output, 1, x, scale, y + (first + row) * rowBytes, rowBytes);
      }
    }
  }

  close(): void {
    this.crew.close();
  }

  #afterTile(layer: number, attended: number, hidden: number, rows: number): void {
    const { outputBias, feedForwardNorm } = this.weights.layers[layer];
    const { hiddenSize, feedForwardSize, queryHeadCount, headSize } = this.config;
    const { output, gate, up, down } = this.#expand(layer);
    const querySize = queryHeadCount * headSize;
    runGraph(this.runtime, outputBias ? this.afterWithBias : this.after, [
      [attended, [rows, querySize]],
      [hidden, [rows, hiddenSize]],
      [output, [hiddenSize, querySize]],
      [feedForwardNorm.address, [hiddenSize]],
      [gate, [feedForwardSize, hiddenSize]],
      [up, [feedForwardSize, hiddenSize]],
      [down, [hiddenSize, feedForwardSize]],
      ...outputBias ? [[outputBias.address, [hiddenSize]] as const] : [],
    ], [[hidden, [rows, hiddenSize]]]);
  }

  #afterStep(weights: Int8LayerWeights, attended: number, hidden: number, rows: number): void {
    const { output, outputBias, feedForwardNorm, gateUp, down } = weights;
    const { feedForwardSize, queryHeadCount, headSize } = this.config;
    const querySize = queryHeadCount * headSize;
    const heads = this.#floats(attended, rows * querySize);
    for (let row = 0; row < rows; row++) this.#round(row, heads, row * querySize, querySize, output.columns);
    this.#addProduct(output, rows, hidden, outputBias?.values ?? null);

    this.#roundNormed(hidden, rows, feedForwardNorm.values, gateUp.columns);
    this.#multiply(gateUp, rows, this.#products.address, gateUp.outputs);
    const { values } = this.#products;
    for (let row = 0; row < rows; row++) {
      const gate = row * gateUp.outputs;
      for (let i = 0; i < feedForwardSize; i++) {
        const x = values[gate + i];
        this.#row[i] = x / (1 + Math.exp(-x)) * values[gate + feedForwardSize + i];
      }
      this.#round(row, this.#row, 0, feedForwardSize, down.columns);
    }
    this.#addProduct(down, rows, hidden, null);
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
    this.crew.multiply(matrix, rows, this.#roundedAddress, this.#scales.address, y, stride * 4);
  }

  /** Normalises and rounds rows of hidden states. */
  #roundNormed(hidden: number, rows: number, norm: Float32Array, columns: number): void {
    const { hiddenSize, rmsNormEpsilon } = this.config;
    const states = this.#floats(hidden, rows * hiddenSize);
    for (let row = 0; row < rows; row++) {
      const at = row * hiddenSize;
      let squares = 0;
      for (let i = 0; i < hiddenSize; i++) squares += states[at + i] * states[at + i];
      const scale = 1 / Math.sqrt(squares / hiddenSize + rmsNormEpsilon);
      for (let i = 0; i < hiddenSize; i++) this.#row[i] = states[at + i] * scale * norm[i];
      this.#round(row, this.#row, 0, hiddenSize, columns);
    }
  }

  /** Rounds a row by a scale of its own, and pads it with zeros. */
  #round(row: number, values: Float32Array, from: number, count: number, columns: number): void {
    let largest = 0;
    for (let i = 0; i < count; i++) largest = Math.max(largest, Math.abs(values[from + i]));
    const most = largestElement(columns);
    const perScale = largest > 0 ? most / largest : 0;
    const at = row * columns;
    for (let i = 0; i < count; i++) this.#rounded[at + i] = Math.round(values[from + i] * perScale);
    this.#rounded.fill(0, at + count, at + columns);
    this.#scales.values[row] = largest / most;
  }

  /** A layer's matrices as f32, `[outputs, inputs]`: addresses, good until another layer's are asked for. */
  #expand(layer: number) {
    const { queryKeyValue, output, gateUp, down } = this.weights.layers[layer];
    const { hiddenSize, feedForwardSize, queryHeadCount, headSize } = this.config;
    const querySize = queryHeadCount * headSize;
    const sizes = [
      queryKeyValue.outputs * hiddenSize,
      output.outputs * querySize,
      gateUp.outputs * hiddenSize,
      down.outputs * feedForwardSize,
    ];
    this.#expanded ??= this.runtime.floats(sizes.reduce((sum, size) => sum + size));
    const starts = sizes.map((_, i) => this.#expanded!.address + 4 * sizes.slice(0, i).reduce((a, b) => a + b, 0));
    if (this.#expandedLayer !== layer) {
      this.crew.expand(queryKeyValue, starts[0], hiddenSize * 4);
      this.crew.expand(output, starts[1], querySize * 4);
      this.crew.expand(gateUp, starts[2], hiddenSize * 4);
      this.crew.expand(down, starts[3], feedForwardSize * 4);
      this.#expandedLayer = layer;
    }
    const [first, second, gate, fourth] = starts;
    return {
      queryKeyValue: first,
      output: second,
      gate,
      up: gate + feedForwardSize * hiddenSize * 4,
      down: fourth,
    };
  }

  #floats(address: number, count: number): Float32Array {
    return new Float32Array(this.runtime.memory.buffer, address, count);
  }
}
