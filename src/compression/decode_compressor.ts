/**
 * @file Compression of what a running sequence holds, layer by layer: all rows of a layer go from their blocks into a
 * scratch, are scored by the queries of the last generated rows, and the best go back.
 *
 *     blocks [ ranked | recent ] --unpack--> scratch --score, rank--> indices --gather--> blocks [ ranked | window ]
 *                                  query log ------^
 *
 * The scratch is not the one of prefill, which may hold half of a layer of somebody's prompt. It takes as much memory as one
 * layer of the longest sequence, and is made when it is first needed.
 */
import type { Binding, Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { kvElementBytes } from "../kernels/kv_element.ts";
import { unpackRows, unpackRowsDispatch } from "../kernels/scoring/unpack_rows.ts";
import { type Score, windowOf } from "../policy/steps.ts";
import { MAX_WINDOW } from "../scores/limits.ts";
import type { CarriedAttention } from "./carried_attention.ts";
import type { CompressorOptions } from "./scoring_work.ts";
import { Compressor } from "./compressor.ts";
import type { QueryLog } from "./query_log.ts";

/** Where a layer's rows are. */
export interface LayerRows {
  readonly arena: number;
  /** First entry of the layer's block table, or of the part of it that is meant. */
  readonly tableOffset: number;
  readonly ranked: number;
  readonly recent: number;
  /** Slots of these rows, from each first to the one before each last, in order; `null` where both parts start in blocks of their own. */
  readonly stretches: readonly (readonly [number, number])[] | null;
}

/** Where a layer's rows are to go. */
export interface KeptLayerRows extends Omit<LayerRows, "stretches"> {
  /** Slots of the first ranked and the first recent row. */
  readonly rankedSlot: number;
  readonly recentSlot: number;
}

/** How a layer's rows are to be scored. */
export interface LayerScoring {
  readonly layer: number;
  readonly score: Score;
  /** Whether statistics of the attention are wanted. */
  readonly statistics: boolean;
  /** `null` where no query is asked. */
  readonly queryLog: QueryLog | null;
  /** The sums so far, and how they go on; where attention is summed. */
  readonly summing: AttentionSumming | null;
  /** First word of the layer record that takes the histogram and the statistics. */
  readonly recordOffset: number;
}

/** How the attention of generated rows is added to that of those before. */
export interface AttentionSumming {
  readonly carried: CarriedAttention;
  /** What the attention of each logged query is divided by. */
  readonly divisor: number;
}

export class DecodeCompressor {
  readonly #compressor: Compressor;
  /** f32 `[MAX_WINDOW][queryHead][headSize]`: a layer's part of the query log. */
  readonly #queries: GPUBuffer;
  /** By arena. */
  readonly #unpacks: readonly Binding[];

  /**
   * @param options its capacity is the rows of the longest sequence
   * @param arenas the block pool's buffers
   * @param table u32, all block tables
   * @param layerRecords see scores/layer_record.ts
   */
  constructor(
    readonly gpu: Gpu,
    readonly options: CompressorOptions,
    arenas: readonly GPUBuffer[],
    table: GPUBuffer,
    layerRecords: GPUBuffer,
  ) {
    const { kvHeadCount, queryHeadCount, headSize, element, capacity } = options;
    const rowsBytes = kvHeadCount * capacity * headSize * kvElementBytes(element);
    const keys = gpu.createBuffer("unpacked keys", rowsBytes);
    const values = gpu.createBuffer("unpacked values", rowsBytes);
    this.#queries = gpu.createBuffer("last queries", MAX_WINDOW * queryHeadCount * headSize * 4);
    this.#compressor = new Compressor(
      gpu,
      options,
      { keys, values, windowQueries: this.#queries, tileQueries: this.#queries, layerRecords, table },
    );
    this.#unpacks = arenas.map((arena) => {
      this.#compressor.addArena(arena);
      return gpu.binding(unpackRows(element), [arena, table, keys, values]);
    });
  }

  /**
   * Records that all rows of a layer are read and those before the score's window scored. There must be some.
   */
  score(recorder: Recorder, rows: LayerRows, scoring: LayerScoring): void {
    const { layer, score, statistics, queryLog, summing, recordOffset } = scoring;
    const length = rows.ranked + rows.recent;
    this.#unpack(recorder, rows);

    const queries = queryLog?.rows ?? 0;
    if (queryLog !== null) {
      recorder.copy(queryLog.buffer, queryLog.offset(layer), this.#queries, 0, queryLog.layerBytes);
    }
    if (summing !== null) {
      const first = length - queries;
      this.#compressor.resumeAttention(recorder, summing.carried, layer, rows.ranked);
      this.#compressor.addAttention(recorder, { start: 0, length: summing.divisor, first, tileRow: 0, count: queries });
    }
    // A window of fewer rows than there are queries asks the last of them.
    const earlierQueries = Math.max(0, queries - windowOf(score));
    const segment = { segmentIndex: 0, earlierQueries, queries, start: 0, length, layer, recordOffset };
    this.#compressor.scoreSegment(recorder, segment, score, statistics);
  }

  /** Records that the `ranked` best rows of the layer scored last go back into blocks, and its last `window` rows behind them. */
  store(
    recorder: Recorder,
    length: number,
    { arena, tableOffset, ranked, recent: window, rankedSlot, recentSlot }: KeptLayerRows,
    { layer, summing }: Pick<LayerScoring, "layer" | "summing">,
  ): void {
    this.#compressor.rankSegment(recorder, { length, window, count: ranked });
    this.#compressor.gatherRanked(recorder, arena, { start: 0, count: ranked, tableOffset, slot: rankedSlot });
    this.#compressor.gatherRange(recorder, arena, {
      start: length - window,
      count: window,
      tableOffset,
      slot: recentSlot,
    });
    if (summing !== null) {
      this.#compressor.keepAttention(recorder, summing.carried, layer, { start: 0, length, ranked, window });
    }
  }

  #unpack(recorder: Recorder, { arena, tableOffset, ranked, recent, stretches }: LayerRows): void {
    const shape = { ...this.options, tableOffset, start: 0 };
    if (stretches === null) {
      return recorder.dispatch(this.#unpacks[arena], unpackRowsDispatch({ ...shape, ranked, recent }));
    }
    for (const [first, end] of stretches) {
      if (first === end) continue;
      recorder.dispatch(this.#unpacks[arena], unpackRowsDispatch({ ...shape, ranked: 0, recent: end, first }));
      shape.start += end - first;
    }
  }
}
