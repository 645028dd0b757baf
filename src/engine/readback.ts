/**
 * @file One staging buffer of the readback ring: what a submit sends to the host.
 *
 *     | decoded tokens [steps, rows] | first tokens [rows] | layer records | scores [head, pack row] | unusable scores [slot] |
 *     | logits [place] |  | embeddings [place] |  buffers of their own, made when they are first asked for
 *
 * `mapAsync` of Deno blocks until the submitted work is done, then sleeps for 10 ms: the ring lets the next submit run
 * meanwhile.
 */
import { type AttentionStatistics, LAYER_RECORD_WORDS, STATISTICS_WORD } from "../scores/layer_record.ts";
import { BIN_COUNT } from "../scores/score_histogram.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { RESULT_WORDS } from "../kernels/sampling/sampling_record.ts";
import { MAX_STEPS } from "../model/dimensions.ts";
import type { Model } from "../model/model.ts";

/** Logits that a submit can send take no more than this, unless those of a full batch do. */
const LOGITS_BYTES = 2 ** 24;

/** A submit without results is mapped too, to wait for it. */
const LEAST_BYTES = 4;

export class Readback {
  readonly #buffer: GPUBuffer;
  readonly #firstTokens: number;
  readonly #records: number;
  readonly #scores: number;
  readonly #unusable: number;
  /** Bytes to map: from the start to the last that the present submit writes. */
  #end = LEAST_BYTES;
  #logits: GPUBuffer | null = null;
  /** Places in it that the present submit writes. */
  #logitCount = 0;
  #embeddings: GPUBuffer | null = null;
  #embeddingCount = 0;

  constructor(readonly model: Model) {
    const { sampler, dimensions: { packRows, maxBatch, config } } = model;
    this.#firstTokens = MAX_STEPS * sampler.stepBytes;
    this.#records = this.#firstTokens + sampler.stepBytes;
    this.#scores = this.#records + model.recordLayout.words * 4;
    this.#unusable = this.#scores + config.kvHeadCount * packRows * 4;
    const bytes = this.#unusable + maxBatch * 4;
    this.#buffer = model.gpu.createBuffer("readback", bytes, GPUBufferUsage.MAP_READ);
  }

  copySteps(recorder: Recorder, steps: number): void {
    const { sampler } = this.model;
    this.#copy(recorder, sampler.results, 0, 0, steps * sampler.stepBytes);
  }

  copyFirstTokens(recorder: Recorder): void {
    const { firstSampler } = this.model;
    this.#copy(recorder, firstSampler.results, 0, this.#firstTokens, firstSampler.stepBytes);
  }

  copyLayerRecords(
    recorder: Recorder,
    source: GPUBuffer,
    slot: number,
    fromLayer: number,
    throughLayer: number,
  ): void {
    const words = (throughLayer - fromLayer + 1) * LAYER_RECORD_WORDS;
    this.#copyRecords(recorder, source, this.model.recordLayout.record(slot, fromLayer), words);
  }

  /** Copies the histograms of the KV heads of the layer that was scored last. */
  copyHeadHistograms(recorder: Recorder, source: GPUBuffer, slot: number): void {
    const { recordLayout } = this.model;
    this.#copyRecords(recorder, source, recordLayout.headHistograms(slot), recordLayout.headHistogramsWords);
  }

  /** Copies `count` scores of every KV head of the segment that starts at pack row `start`. */
  copyScores(recorder: Recorder, pooled: GPUBuffer, start: number, count: number): void {
    const { packRows, config } = this.model.dimensions;
    for (let head = 0; head < config.kvHeadCount; head++) {
      const target = this.#scores + (head * packRows + start) * 4;
      this.#copy(recorder, pooled, head * packRows * 4, target, count * 4);
    }
  }

  /** Copies how many scores of a slot's prompt were no numbers of at least 0, by the kernel of a plugin. */
  copyUnusable(recorder: Recorder, source: GPUBuffer, slot: number): void {
    this.#copy(recorder, source, slot * 4, this.#unusable + slot * 4, 4);
  }

  /** Logits that fit into a submit, those of the whole batch at least. */
  get logitPlaces(): number {
    const { maxBatch, vocabularyStride } = this.model.dimensions;
    return Math.max(maxBatch, Math.floor(LOGITS_BYTES / (vocabularyStride * 4)));
  }

  /** Copies the logits of a row of the decoding batch to the next free place, and returns its number. */
  copyLogits(recorder: Recorder, row: number): number {
    const { gpu, sampler: { logits: { buffer, stride } } } = this.model;
    const bytes = stride * 4;
    this.#logits ??= gpu.createBuffer("readback of logits", this.logitPlaces * bytes, GPUBufferUsage.MAP_READ);
    const place = this.#logitCount++;
    recorder.copy(buffer, row * bytes, this.#logits, place * bytes, bytes);
    return place;
  }

  /** Copies the first `count` rows of vectors of prompts, f32 `[maxBatch, hiddenStride]`. */
  copyEmbeddings(recorder: Recorder, pooled: GPUBuffer, count: number): void {
    const { gpu, dimensions: { maxBatch, hiddenStride } } = this.model;
    const bytes = hiddenStride * 4;
    this.#embeddings ??= gpu.createBuffer("readback of embeddings", maxBatch * bytes, GPUBufferUsage.MAP_READ);
    this.#embeddingCount = count;
    recorder.copy(pooled, 0, this.#embeddings, 0, count * bytes);
  }

  /** Starts mapping; blocks while submitted work runs. Await the result before reading. */
  async map(): Promise<void> {
    const mapped = [this.#buffer.mapAsync(GPUMapMode.READ, 0, this.#end)];
    if (this.#logitCount > 0) mapped.push(this.#logits!.mapAsync(GPUMapMode.READ));
    if (this.#embeddingCount > 0) mapped.push(this.#embeddings!.mapAsync(GPUMapMode.READ));
    await Promise.all(mapped);
  }

  /** Gives the mapped bytes to `read`, whose views end with it, and makes the buffer ready for the next submit. */
  take(read: (results: ReadbackView) => void): void {
    const bytes = this.#buffer.getMappedRange(0, this.#end);
    const logits = this.#logitCount > 0 ? this.#logits!.getMappedRange() : null;
    const embeddings = this.#embeddingCount > 0 ? this.#embeddings!.getMappedRange() : null;
    const offsets = [this.#firstTokens, this.#records, this.#scores, this.#unusable] as const;
    read(new ReadbackView(bytes, this.model, ...offsets, logits, embeddings));
    this.#buffer.unmap();
    this.#end = LEAST_BYTES;
    if (this.#logitCount > 0) this.#logits!.unmap();
    this.#logitCount = 0;
    if (this.#embeddingCount > 0) this.#embeddings!.unmap();
    this.#embeddingCount = 0;
  }

  destroy(): void {
    this.model.gpu.destroyBuffer(this.#buffer);
    if (this.#logits !== null) this.model.gpu.destroyBuffer(this.#logits);
    if (this.#embeddings !== null) this.model.gpu.destroyBuffer(this.#embeddings);
  }

  #copyRecords(recorder: Recorder, source: GPUBuffer, word: number, words: number): void {
    this.#copy(recorder, source, word * 4, this.#records + word * 4, words * 4);
  }

  #copy(recorder: Recorder, source: GPUBuffer, sourceOffset: number, targetOffset: number, bytes: number): void {
    recorder.copy(source, sourceOffset, this.#buffer, targetOffset, bytes);
    this.#end = Math.max(this.#end, targetOffset + bytes);
  }
}

/** The mapped contents of a {@link Readback}. */
export class ReadbackView {
  constructor(
    readonly bytes: ArrayBuffer,
    readonly model: Model,
    readonly firstTokensOffset: number,
    readonly recordsOffset: number,
    readonly scoresOffset: number,
    readonly unusableOffset: number,
    readonly logitBytes: ArrayBuffer | null,
    readonly embeddingBytes: ArrayBuffer | null,
  ) {}

  /** The result record of a batch row in a step. */
  step(step: number, row: number): Uint32Array {
    return new Uint32Array(this.bytes, (step * this.model.dimensions.maxBatch + row) * RESULT_WORDS * 4, RESULT_WORDS);
  }

  /** The result record of the first token of a row. */
  firstToken(row: number): Uint32Array {
    return new Uint32Array(this.bytes, this.firstTokensOffset + row * RESULT_WORDS * 4, RESULT_WORDS);
  }

  /** A copy of the logits in a place, `[vocabulary]`. */
  logits(place: number): Float32Array {
    const { vocabularyStride, config } = this.model.dimensions;
    return new Float32Array(this.logitBytes!, place * vocabularyStride * 4, config.vocabularySize).slice();
  }

  /** A copy of the vector in a place, `[hiddenSize]`. */
  embedding(place: number): Float32Array {
    const { hiddenStride, config } = this.model.dimensions;
    return new Float32Array(this.embeddingBytes!, place * hiddenStride * 4, config.hiddenSize).slice();
  }

  /** A copy of the histogram of a slot's layer. */
  histogram(slot: number, layer: number): Uint32Array {
    return new Uint32Array(this.bytes, this.#recordOffset(slot, layer), BIN_COUNT).slice();
  }

  /** Copies of the histograms of the KV heads of the layer of a slot that was scored last. */
  headHistograms(slot: number): Uint32Array[] {
    const { recordLayout } = this.model;
    return Array.from({ length: recordLayout.kvHeadCount }, (_, head) => {
      const word = recordLayout.headHistograms(slot) + head * BIN_COUNT;
      return new Uint32Array(this.bytes, this.recordsOffset + word * 4, BIN_COUNT).slice();
    });
  }

  /** The unusable scores of a slot's prompt so far. */
  unusable(slot: number): number {
    return new Uint32Array(this.bytes, this.unusableOffset + slot * 4, 1)[0];
  }

  /** The statistics of a slot's layer. */
  statistics(slot: number, layer: number): AttentionStatistics {
    const offset = this.#recordOffset(slot, layer) + STATISTICS_WORD * 4;
    const [entropy, variance] = new Float32Array(this.bytes, offset, 2);
    return { entropy, variance };
  }

  /** A copy of the `count` scores of every KV head of the segment that starts at pack row `start`, head-major. */
  scores(start: number, count: number): Float32Array {
    const { packRows, config } = this.model.dimensions;
    const all = new Float32Array(config.kvHeadCount * count);
    for (let head = 0; head < config.kvHeadCount; head++) {
      const offset = this.scoresOffset + (head * packRows + start) * 4;
      all.set(new Float32Array(this.bytes, offset, count), head * count);
    }
    return all;
  }

  #recordOffset(slot: number, layer: number): number {
    return this.recordsOffset + this.model.recordLayout.record(slot, layer) * 4;
  }
}
