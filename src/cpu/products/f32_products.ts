/** @file Products with weights in f32, all of them in onnxruntime: exact but for the rounding of f32 sums. */
import type { ModelConfig } from "../../architecture/config.ts";
import type { ModelFile } from "../../formats/model_file.ts";
import type { Onnxruntime } from "../runtime/onnxruntime.ts";
import type { Session } from "../runtime/session.ts";
import { F32Form, type F32Weights } from "./f32_weights.ts";
import { afterAttention, beforeAttention, logitsGraph, queryKeyValueSize } from "./graphs.ts";
import type { Products, QueryKeyNorms } from "./products.ts";
import { runGraph } from "./run_graph.ts";
import type { LoadingProgress } from "./stored_rows.ts";
import { loadWeights } from "./weights.ts";

export class F32Products implements Products {
  readonly crew = null;
  readonly norms: readonly QueryKeyNorms[];
  readonly outputNorm: Float32Array;

  private constructor(
    readonly runtime: Onnxruntime,
    readonly config: ModelConfig,
    readonly weights: F32Weights,
    readonly before: Session,
    readonly after: Session,
    readonly afterWithBias: Session,
    readonly output: Session,
  ) {
    this.norms = weights.layers;
    this.outputNorm = weights.outputNorm.floats.values;
  }

  /** Loads the weights and compiles the graphs. @throws {ModelFileError} */
  static async load(
    runtime: Onnxruntime,
    file: ModelFile,
    config: ModelConfig,
    onProgress: LoadingProgress = () => {},
  ): Promise<F32Products> {
    return new F32Products(
      runtime,
      config,
      await loadWeights(file, config, new F32Form(runtime), onProgress),
      await runtime.session(beforeAttention(config)),
      await runtime.session(afterAttention(config, false)),
      await runtime.session(afterAttention(config, true)),
      await runtime.session(logitsGraph(config)),
    );
  }

  embed(token: number, target: Float32Array, at: number): void {
    const { hiddenSize, vocabularySize } = this.config;
    const { values } = this.weights.embedding.floats;
    for (let i = 0; i < hiddenSize; i++) target[at + i] = values[i * vocabularySize + token];
  }

  queryKeyValue(layer: number, hidden: number, rows: number, y: number): void {
    const { attentionNorm, queryKeyValue, queryKeyValueBias } = this.weights.layers[layer];
    runGraph(this.runtime, this.before, [
      [hidden, [rows, this.config.hiddenSize]],
      attentionNorm.tensor,
      queryKeyValue.tensor,
      ...queryKeyValueBias ? [queryKeyValueBias.tensor] : [],
    ], [[y, [rows, queryKeyValueSize(this.config)]]]);
  }

  afterAttention(layer: number, attended: number, hidden: number, rows: number): void {
    const { output, outputBias, feedForwardNorm, gateUp: { gate, up }, down } = this.weights.layers[layer];
    const { hiddenSize, queryHeadCount, headSize } = this.config;
    runGraph(this.runtime, outputBias ? this.afterWithBias : this.after, [
      [attended, [rows, queryHeadCount * headSize]],
      [hidden, [rows, hiddenSize]],
      output.tensor,
      feedForwardNorm.tensor,
      gate.tensor,
      up.tensor,
      down.tensor,
      ...outputBias ? [outputBias.tensor] : [],
    ], [[hidden, [rows, hiddenSize]]]);
  }

  logits(hidden: number, rows: number, y: number): void {
    const { outputNorm, output } = this.weights;
    const { hiddenSize, vocabularySize } = this.config;
    runGraph(
      this.runtime,
      this.output,
      [[hidden, [rows, hiddenSize]], outputNorm.tensor, output.tensor],
      [[y, [rows, vocabularySize]]],
    );
  }

  close(): void {}
}
