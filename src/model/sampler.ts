/** @file From hidden states to sampled tokens: final norm, logits, penalties, grammars, sampling, log-probabilities. */
import type { Binding, Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { forcedTokens, forcedTokensDispatch } from "../kernels/sampling/forced_tokens.ts";
import { penalties, penaltiesDispatch } from "../kernels/sampling/penalties.ts";
import { sample, sampleDispatch } from "../kernels/sampling/sample.ts";
import { RESULT_WORDS } from "../kernels/sampling/sampling_record.ts";
import { tokenMask, tokenMaskDispatch } from "../kernels/sampling/token_mask.ts";
import { topLogprobs, topLogprobsDispatch } from "../kernels/sampling/top_logprobs.ts";
import type { BatchRow, BatchRows } from "./batch_state.ts";
import type { Dimensions } from "./dimensions.ts";
import { FewVectors, type Rows } from "./project.ts";
import type { Weights } from "./weights.ts";

export class Sampler {
  /** Hidden states of the batch: f32 `[maxBatch, hiddenStride]`. */
  readonly hidden: Rows;
  /** f32 `[maxBatch, vocabularyStride]`, before penalties. */
  readonly logits: Rows;
  /** u32 `[steps, maxBatch, RESULT_WORDS]`. */
  readonly results: GPUBuffer;
  readonly #output: FewVectors;
  readonly #penalties: Binding;
  readonly #mask: Binding;
  readonly #sample: Binding;
  readonly #sampleAdjusted: Binding;
  readonly #topLogprobs: Binding;
  readonly #forcedTokens: Binding;

  /** @param steps most steps of a submit */
  constructor(readonly gpu: Gpu, readonly dimensions: Dimensions, weights: Weights, rows: BatchRows, steps: number) {
    const { maxBatch, hiddenStride, vocabularyStride, config } = dimensions;
    const buffer = (label: string, stride: number): Rows => ({
      buffer: gpu.createBuffer(label, maxBatch * stride * 4),
      stride,
    });
    this.hidden = buffer("sampled hidden states", hiddenStride);
    this.logits = buffer("logits", vocabularyStride);
    const adjusted = buffer("adjusted logits", vocabularyStride);
    this.results = gpu.createBuffer("sampling results", steps * maxBatch * RESULT_WORDS * 4);
    this.#output = new FewVectors(gpu, weights.output, this.hidden, this.logits, "store", {
      weight: weights.outputNorm,
      width: config.hiddenSize,
      epsilon: config.rmsNormEpsilon,
    });
    const { slots, positions } = rows;
    const { sampling, tokens, continuations, counts, bias, masks } = rows.state;
    const raw = this.logits.buffer;
    const bindSample = (logits: GPUBuffer) =>
      gpu.binding(sample(config.vocabularySize), [
        raw,
        logits,
        slots,
        positions,
        sampling,
        tokens,
        this.results,
        counts,
      ]);
    this.#penalties = gpu.binding(penalties, [raw, slots, sampling, counts, bias, adjusted.buffer]);
    this.#mask = gpu.binding(tokenMask, [slots, masks, adjusted.buffer]);
    this.#sample = bindSample(raw);
    this.#sampleAdjusted = bindSample(adjusted.buffer);
    this.#topLogprobs = gpu.binding(topLogprobs(config.vocabularySize), [raw, slots, sampling, this.results]);
    const given = [rows.rows, continuations, sampling, this.results, tokens, counts];
    this.#forcedTokens = gpu.binding(forcedTokens, given);
  }

  /** Bytes of the results of one step. */
  get stepBytes(): number {
    return this.dimensions.maxBatch * RESULT_WORDS * 4;
  }

  /** Records the logits of the batch's hidden states and the draw of their next tokens, as step `step` of the submit. */
  record(recorder: Recorder, batch: readonly BatchRow[], step: number): void {
    const { config, vocabularyStride, maxBatch, positions } = this.dimensions;
    const rows = batch.length;
    this.#output.record(recorder, rows);
    const isAdjusted = batch.some((row) => row.adjustsLogits || row.isMasked);
    if (isAdjusted) recorder.dispatch(this.#penalties, penaltiesDispatch({ rows, stride: vocabularyStride }));
    this.#recordMasks(recorder, batch);
    const shape = { rows, vocabulary: config.vocabularySize, stride: vocabularyStride, step, maxRows: maxBatch };
    recorder.dispatch(isAdjusted ? this.#sampleAdjusted : this.#sample, sampleDispatch(shape));
    if (batch.some((row) => row.topLogprobs)) recorder.dispatch(this.#topLogprobs, topLogprobsDispatch(shape));
    if (batch.some((row) => row.forcedTokens > step)) {
      const shape = { rows, positions, stride: vocabularyStride, step, maxRows: maxBatch };
      recorder.dispatch(this.#forcedTokens, forcedTokensDispatch(shape));
    }
  }

  /** Masks the runs of neighbouring rows that have a mask. */
  #recordMasks(recorder: Recorder, batch: readonly BatchRow[]): void {
    for (let firstRow = 0; firstRow < batch.length; firstRow++) {
      if (!batch[firstRow].isMasked) continue;
      let rows = 1;
      while (batch[firstRow + rows]?.isMasked) rows++;
      recorder.dispatch(
        this.#mask,
        tokenMaskDispatch({ firstRow, rows, stride: this.dimensions.vocabularyStride }),
      );
      firstRow += rows;
    }
  }
}
