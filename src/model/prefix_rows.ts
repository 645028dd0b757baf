/**
 * @file The way of cached prefixes through the GPU, for prompts that are being read: rows of a layer come from blocks into the scratch
 * of prefill, and go from there into blocks. Which blocks, the prefix index says (cache/prefix_index.ts). Scores go to slots and come
 * from there in the same way.
 *
 *     blocks --restore()--> keys, values [ cached rows | rows that pass the layer ] --store()--> blocks
 *
 * The tables are apart from those of the sequences, which list other blocks of the same prompts: what their policies keep. A prompt's
 * entries lie where it lies in the pack rows, which no other prompt has meanwhile:
 *
 *     table of a layer   [ blocks of the prompt at row 0 ... | of the one at row `start`, from entry ceil(start / 16) on | ... ]
 */
import { BLOCK_ROWS, blocksFor } from "../cache/block.ts";
import type { PrefixIndex } from "../cache/prefix_index.ts";
import type { Binding, Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { Bindings } from "../compression/bindings.ts";
import {
  restoreScores,
  slotScoresDispatch,
  type SlotScoresShape,
  storeScores,
} from "../kernels/scoring/slot_scores.ts";
import { gatherRows, gatherRowsDispatch } from "../kernels/scoring/gather_rows.ts";
import { unpackRows, unpackRowsDispatch } from "../kernels/scoring/unpack_rows.ts";
import type { Dimensions } from "./dimensions.ts";

/** What the rows are copied from and to. */
export interface PrefixRowsBuffers {
  /** KV elements `[kvHead][packRows][headSize]`. */
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
  /** u32; bound because a kernel wants it, but never read. */
  readonly indices: GPUBuffer;
  readonly arenas: readonly GPUBuffer[];
}

/** Rows of a layer of a prompt. */
export interface LayerPrefix {
  readonly arena: number;
  readonly layer: number;
  /** Row of the pack where the prompt begins. */
  readonly start: number;
  /** The first of the rows in the prompt, a multiple of `BLOCK_ROWS`, and how many they are. */
  readonly first: number;
  readonly rows: number;
}

/** Scores of a group of rows of a layer, from row `row` on. */
export interface GroupScores extends Pick<SlotScoresShape, "layer" | "slot" | "row" | "count"> {
  readonly arena: number;
}

export class PrefixRows {
  /** u32 `[layer, block of the pack]`. */
  readonly #tables: GPUBuffer;
  readonly #tableStride: number;
  /** By arena. */
  readonly #restores: readonly Binding[];
  readonly #stores: readonly Binding[];
  /** By arena, f32 `[slot][layer][kvHead][groupRows]`: made when scores are first kept. */
  readonly #slots: GPUBuffer[] = [];
  readonly #scoreBindings: Bindings;

  constructor(
    readonly gpu: Gpu,
    readonly dimensions: Dimensions,
    readonly index: PrefixIndex,
    { keys, values, indices, arenas }: PrefixRowsBuffers,
  ) {
    this.#scoreBindings = new Bindings(gpu);
    const { config, packRows, kvElement } = dimensions;
    this.#tableStride = blocksFor(packRows);
    this.#tables = gpu.createBuffer("prefix tables", config.layerCount * this.#tableStride * 4);
    const [unpack, gather] = [unpackRows(kvElement), gatherRows(kvElement)];
    this.#restores = arenas.map((arena) => gpu.binding(unpack, [arena, this.#tables, keys, values]));
    this.#stores = arenas.map((arena) => gpu.binding(gather, [keys, values, indices, this.#tables, arena]));
  }

  /**
   * Writes which blocks rows of a layer are in.
   *
   * @param ids those of the rows from `first` on
   */
  writeTable({ layer, start, first }: Omit<LayerPrefix, "arena" | "rows">, ids: Uint32Array<ArrayBuffer>): void {
    // Deno aborts the process when nothing is written.
    if (ids.length > 0) this.gpu.write(this.#tables, this.#entry(layer, start, first) * 4, ids);
  }

  /** Records the copy of rows out of their blocks. */
  restore(recorder: Recorder, { arena, layer, start, first, rows }: LayerPrefix): void {
    const dispatch = unpackRowsDispatch({
      ...this.#shape,
      start: start + first,
      ranked: 0,
      recent: rows,
      tableOffset: this.#entry(layer, start, first),
    });
    recorder.dispatch(this.#restores[arena], dispatch);
  }

  /** Records the copy of rows into their blocks. */
  store(recorder: Recorder, { arena, layer, start, first, rows }: LayerPrefix): void {
    const dispatch = gatherRowsDispatch({
      ...this.#shape,
      indexCapacity: 0,
      isRanked: false,
      start: start + first,
      count: rows,
      tableOffset: this.#entry(layer, start, first),
    });
    recorder.dispatch(this.#stores[arena], dispatch);
  }

  /** Records the copy of scores out of a slot to scores `[kvHead][pack rows]`. */
  restoreScores(recorder: Recorder, { arena, ...group }: GroupScores, scores: GPUBuffer): void {
    const binding = this.#scoreBindings.of(restoreScores, [this.#slotsOf(arena), scores]);
    recorder.dispatch(binding, this.#slotDispatch(group));
  }

  /** Records the copy of scores `[kvHead][pack rows]` into a slot. */
  storeScores(recorder: Recorder, { arena, ...group }: GroupScores, scores: GPUBuffer): void {
    const binding = this.#scoreBindings.of(storeScores, [scores, this.#slotsOf(arena)]);
    recorder.dispatch(binding, this.#slotDispatch(group));
  }

  #slotDispatch(group: Omit<GroupScores, "arena">) {
    const { layerCount } = this.dimensions.config;
    return slotScoresDispatch({ ...this.#shape, ...group, layerCount, groupRows: this.index.groupRows });
  }

  #slotsOf(arena: number): GPUBuffer {
    const { gpu, index, dimensions: { config: { kvHeadCount, layerCount } } } = this;
    const bytes = index.scoreSlots.count(arena) * layerCount * kvHeadCount * index.groupRows * 4;
    return this.#slots[arena] ??= gpu.createBuffer(`cached scores ${arena}`, bytes);
  }

  get #shape() {
    const { packRows: capacity, config: { kvHeadCount, headSize } } = this.dimensions;
    return { kvHeadCount, headSize, capacity };
  }

  #entry(layer: number, start: number, first: number): number {
    return layer * this.#tableStride + blocksFor(start) + first / BLOCK_ROWS;
  }
}
