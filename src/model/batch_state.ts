/**
 * @file What the GPU knows about sequences: per slot what stays with a sequence, per batch row what changes each submit.
 *
 *     slot (a running sequence keeps its own)    tables, last token, given tokens, sampling record, token counts, logit bias,
 *                                                tokens that may come
 *     row (place in the batch of this submit)    slot, position, table offset; rows of every layer
 */
import { HEAD_WORDS, PACKED } from "../cache/block.ts";
import type { PackedHeads } from "../cache/sequence_cache.ts";
import type { GenerationRequest } from "../contract/generation.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { biasRow, promptCounts } from "../kernels/sampling/penalties.ts";
import {
  adjustsLogits,
  encodeSampling,
  SAMPLING_BYTES,
  usesBias,
  usesCounts,
} from "../kernels/sampling/sampling_record.ts";
import type { Dimensions } from "./dimensions.ts";
import type { QueryLog } from "../compression/query_log.ts";

/** A sequence's place in a batch. */
export interface BatchRow {
  readonly slot: number;
  readonly arena: number;
  /** Position of the token that the first step of the submit feeds. */
  readonly position: number;
  /** Rows of each layer before the first step, `[layerCount]`; the ranked ones of its longest head where it is packed. */
  readonly rankedRows: Uint32Array;
  /** Ranked blocks of each packed layer, 0 for all others. */
  readonly packedBlocks: Uint32Array;
  readonly recentRows: Uint32Array;
  /** Whether penalties or a logit bias apply. */
  readonly adjustsLogits: boolean;
  /** Whether only some tokens may come next: those of the slot's mask. */
  readonly isMasked: boolean;
  /** Whether alternatives are reported. */
  readonly topLogprobs: boolean;
  /** How many of the next tokens are given, not drawn. */
  readonly forcedTokens: number;
  /** Where some of its queries are kept, if they are. */
  readonly queryLog: QueryLog | null;
}

/** Buffers indexed by slot. */
export class SlotState {
  /** u32 `[slot, layer, tableStride]`: block ids; at the end of each table (first slot, ranked rows) of every KV head. */
  readonly tables: GPUBuffer;
  /** u32 `[slot]`: the last sampled token. */
  readonly tokens: GPUBuffer;
  /** u32 `[slot, positions]`: tokens that are given, not drawn, at their positions. */
  readonly continuations: GPUBuffer;
  /** `[slot]` sampling records. */
  readonly sampling: GPUBuffer;
  /** u32 `[slot, vocabularyStride]`. */
  readonly counts: GPUBuffer;
  /** f32 `[slot, vocabularyStride]`. */
  readonly bias: GPUBuffer;
  /** u32 `[slot, vocabularyStride / 32]`: a bit for each token that may come next; read in masked rows only. */
  readonly masks: GPUBuffer;
  readonly #maskWords: Uint32Array<ArrayBuffer>;

  constructor(readonly gpu: Gpu, readonly dimensions: Dimensions) {
    const { maxBatch, tableStride, vocabularyStride, positions, config } = dimensions;
    this.tables = gpu.createBuffer("block tables", maxBatch * config.layerCount * tableStride * 4);
    this.tokens = gpu.createBuffer("last tokens", maxBatch * 4);
    this.continuations = gpu.createBuffer("given tokens", maxBatch * positions * 4);
    this.sampling = gpu.createBuffer("sampling records", maxBatch * SAMPLING_BYTES);
    this.counts = gpu.createBuffer("token counts", maxBatch * vocabularyStride * 4);
    this.bias = gpu.createBuffer("logit bias", maxBatch * vocabularyStride * 4);
    this.#maskWords = new Uint32Array(vocabularyStride / 32);
    this.masks = gpu.createBuffer("token masks", maxBatch * this.#maskWords.length * 4);
  }

  /** First entry of a layer's block table, in u32s from the start of {@link tables}. */
  tableOffset(slot: number, layer: number): number {
    return (slot * this.dimensions.config.layerCount + layer) * this.dimensions.tableStride;
  }

  /** Gives a slot to a new sequence. */
  startSlot(slot: number, request: GenerationRequest): void {
    const { sampling } = request;
    const { vocabularyStride } = this.dimensions;
    this.gpu.write(this.sampling, slot * SAMPLING_BYTES, encodeSampling(sampling, request.topLogprobs));
    if (!adjustsLogits(sampling)) return;
    const offset = slot * vocabularyStride * 4;
    if (usesCounts(sampling)) this.gpu.write(this.counts, offset, promptCounts(request.prompt, vocabularyStride));
    if (usesBias(sampling)) this.gpu.write(this.bias, offset, biasRow(sampling, vocabularyStride));
  }

  /** Sets which tokens may come next: a bit each, of as many as the tokenizer knows. */
  writeMask(slot: number, mask: Uint32Array): void {
    this.#maskWords.fill(0);
    this.#maskWords.set(mask.subarray(0, this.#maskWords.length));
    this.gpu.write(this.masks, slot * this.#maskWords.length * 4, this.#maskWords);
  }

  /** Counts anew what a sequence has generated, where it was told more than counts. */
  writeCounts(slot: number, { prompt, sampling }: GenerationRequest, generated: Iterable<number>): void {
    if (!usesCounts(sampling)) return;
    const { vocabularyStride } = this.dimensions;
    const counts = promptCounts(prompt, vocabularyStride);
    for (const token of generated) counts[token]++;
    this.gpu.write(this.counts, slot * vocabularyStride * 4, counts);
  }

  /** Sets the last token of a sequence, which the next step feeds. */
  writeToken(slot: number, token: number): void {
    this.gpu.write(this.tokens, slot * 4, Uint32Array.of(token));
  }

  /** Gives the tokens from a position on. */
  writeContinuation(slot: number, position: number, tokens: Uint32Array): void {
    // Deno aborts the process when nothing is written.
    if (tokens.length === 0) return;
    const offset = slot * this.dimensions.positions + position;
    this.gpu.write(this.continuations, offset * 4, Uint32Array.from(tokens));
  }

  /** Writes the entries of a block table from `first` on, and the heads of a packed layer where they are given. */
  writeTable(slot: number, layer: number, first: number, table: readonly number[], heads: PackedHeads | null): void {
    const offset = this.tableOffset(slot, layer);
    if (first < table.length) this.gpu.write(this.tables, (offset + first) * 4, Uint32Array.from(table.slice(first)));
    if (heads === null) return;
    const words = new Uint32Array(HEAD_WORDS * heads.rows.length);
    heads.rows.forEach((rows, head) => words.set([heads.firstSlots[head], rows], HEAD_WORDS * head));
    this.gpu.write(this.tables, (offset + this.dimensions.tableStride - words.length) * 4, words);
  }
}

/**
 * Buffers indexed by batch row. Decoding and the first tokens after a prefill have one each, so that a submit can hold
 * both.
 */
export class BatchRows {
  /** vec4 `[row]`: slot, position, first table entry, given tokens ahead. */
  readonly rows: GPUBuffer;
  /** u32 `[row]`. */
  readonly slots: GPUBuffer;
  /** u32 `[row]`. */
  readonly positions: GPUBuffer;
  /** vec2 `[layer, row]`: ranked rows, or PACKED and the ranked blocks; recent rows. */
  readonly layerRows: GPUBuffer;
  readonly #rowWords: Uint32Array<ArrayBuffer>;
  readonly #slotWords: Uint32Array<ArrayBuffer>;
  readonly #positionWords: Uint32Array<ArrayBuffer>;
  readonly #layerWords: Uint32Array<ArrayBuffer>;

  constructor(readonly state: SlotState) {
    const { gpu, dimensions: { maxBatch, config } } = state;
    this.#rowWords = new Uint32Array(maxBatch * 4);
    this.#slotWords = new Uint32Array(maxBatch);
    this.#positionWords = new Uint32Array(maxBatch);
    this.#layerWords = new Uint32Array(config.layerCount * maxBatch * 2);
    this.rows = gpu.createBuffer("batch rows", maxBatch * 16);
    this.slots = gpu.createBuffer("batch slots", maxBatch * 4);
    this.positions = gpu.createBuffer("batch positions", maxBatch * 4);
    this.layerRows = gpu.createBuffer("layer rows", config.layerCount * maxBatch * 8);
  }

  /** Makes `batch` the rows of the next submit. Rows of one arena must be neighbours. */
  set(batch: readonly BatchRow[]): void {
    const { gpu, dimensions: { maxBatch, config } } = this.state;
    batch.forEach(({ slot, position, rankedRows, packedBlocks, recentRows, forcedTokens }, row) => {
      this.#rowWords.set([slot, position, this.state.tableOffset(slot, 0), forcedTokens], row * 4);
      this.#slotWords[row] = slot;
      this.#positionWords[row] = position;
      for (let layer = 0; layer < config.layerCount; layer++) {
        const at = (layer * maxBatch + row) * 2;
        this.#layerWords[at] = packedBlocks[layer] > 0 ? PACKED | packedBlocks[layer] : rankedRows[layer];
        this.#layerWords[at + 1] = recentRows[layer];
      }
    });
    const { queue } = gpu.device;
    queue.writeBuffer(this.rows, 0, this.#rowWords, 0, batch.length * 4);
    queue.writeBuffer(this.slots, 0, this.#slotWords, 0, batch.length);
    queue.writeBuffer(this.positions, 0, this.#positionWords, 0, batch.length);
    queue.writeBuffer(this.layerRows, 0, this.#layerWords);
  }
}
