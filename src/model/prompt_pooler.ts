/** @file What prompts come to as vectors: their hidden states behind the last layer, normalised, as one for each prompt. */
import type { PromptPooling } from "../contract/generation.ts";
import type { Binding, Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { poolRows, poolRowsDispatch } from "../kernels/forward/pool_rows.ts";
import type { Dimensions } from "./dimensions.ts";
import type { Rows } from "./project.ts";

/** A prompt whose rows have passed all layers, and where its vector goes. */
export interface PooledPrompt {
  /** First row among the pack rows. */
  readonly start: number;
  readonly length: number;
  readonly pooling: PromptPooling;
  /** Row of {@link PromptPooler.pooled}. */
  readonly target: number;
}

/** The first row that counts, and how many. */
const ROWS: Readonly<Record<PromptPooling, (length: number) => readonly [first: number, count: number]>> = {
  mean: (length) => [0, length],
  first: () => [0, 1],
  last: (length) => [length - 1, 1],
};

export class PromptPooler {
  /** f32 `[maxBatch, hiddenStride]`. */
  readonly pooled: GPUBuffer;
  readonly #pool: Binding;

  /** @param hidden f32 `[packRows, hiddenStride]` @param norm f32 `[hiddenStride]`: the weight of the norm before the logits */
  constructor(gpu: Gpu, readonly dimensions: Dimensions, hidden: Rows, norm: GPUBuffer) {
    const { maxBatch, hiddenStride } = dimensions;
    this.pooled = gpu.createBuffer("pooled prompts", maxBatch * hiddenStride * 4);
    this.#pool = gpu.binding(poolRows, [hidden.buffer, norm, this.pooled]);
  }

  /** Records the vector of a prompt. */
  record(recorder: Recorder, { start, length, pooling, target }: PooledPrompt): void {
    const { hiddenStride: stride, config: { hiddenSize: width, rmsNormEpsilon: epsilon } } = this.dimensions;
    const [first, count] = ROWS[pooling](length);
    const shape = { stride, width, epsilon, firstRow: start + first, count, targetRow: target };
    recorder.dispatch(this.#pool, poolRowsDispatch(shape));
  }
}
