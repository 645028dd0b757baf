/**
 * @file Compression of one layer's keys and values after its attention: score the rows, rank them, gather the kept ones.
 *
 *     keys, window queries --scorer--> scores --pool--> pooled --top rows--> indices
 *                                                  \--> histogram                |
 *     keys, values, indices, block table --gather--> blocks of an arena  <-------/
 *
 * The GPU runs things in the order in which they are recorded, so all of the scratch is used again by the next segment
 * and the next layer. Nothing is created per call, except what a scorer other than the observation window needs when it is
 * first used: loading does not wait for policies that nobody asks for.
 */
import type { Binding, Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { attentionSums, attentionSumsDispatches } from "../kernels/scoring/attention_sums.ts";
import { averageHeads, averageHeadsDispatch } from "../kernels/scoring/average_heads.ts";
import { gatherRows, gatherRowsDispatch } from "../kernels/scoring/gather_rows.ts";
import {
  keyDifferenceScores,
  keyDifferenceScoresDispatches,
  keyDirections,
  keyDirectionsBytes,
  keyNormScores,
  keyNormScoresDispatch,
} from "../kernels/scoring/key_scores.ts";
import { gatherSums, gatherSumsDispatch, type GatherSumsShape } from "../kernels/scoring/gather_sums.ts";
import type { KvElement } from "../kernels/kv_element.ts";
import {
  lookupScores,
  lookupScoresDispatches,
  lookupWeightsBytes,
  MAX_LOOKUPS,
} from "../kernels/scoring/lookup_scores.ts";
import { MOST_MOVES, moveSlots, moveSlotsDispatch } from "../kernels/scoring/move_slots.ts";
import { poolScores, poolScoresDispatch } from "../kernels/scoring/pool_scores.ts";
import { readAhead, readAheadDispatch } from "../kernels/scoring/read_ahead.ts";
import { recencyScores, recencyScoresDispatch } from "../kernels/scoring/recency_scores.ts";
import { topRows, topRowsDispatch, topRowsScratchBytes } from "../kernels/scoring/top_rows.ts";
import {
  MAX_WINDOW,
  windowPartialsBytes,
  windowScores,
  windowScoresDispatches,
  windowStatisticsBytes,
} from "../kernels/scoring/window_scores.ts";
import {
  largestNorms,
  weighByHeads,
  weighByHeadsDispatches,
  weighByRows,
  weighByRowsDispatch,
} from "../kernels/scoring/value_norms.ts";
import {
  sumMoments,
  windowMoments,
  windowMomentsBytes,
  windowMomentsDispatches,
} from "../kernels/scoring/window_moments.ts";
import type { KeyDifference, KeyNorm, ObservationWindow, RankingScorer, ReadAhead } from "../policy/policy.ts";
import type { CarriedAttention } from "./carried_attention.ts";

export interface CompressorOptions {
  readonly kvHeadCount: number;
  readonly queryHeadCount: number;
  readonly headSize: number;
  readonly element: KvElement;
  /** Rows of keys and values per KV head: the longest pack, and the most rows that can be ranked. */
  readonly capacity: number;
}

/** What the compressor works on but does not own. */
export interface CompressorBuffers {
  /** KV elements `[kvHead][capacity][headSize]`, rotated. */
  readonly keys: GPUBuffer;
  /** KV elements `[kvHead][capacity][headSize]`. */
  readonly values: GPUBuffer;
  /** f32 `[segment][MAX_WINDOW][queryHead][headSize]`, rotated, not scaled; row 0 is the oldest of the window. */
  readonly windowQueries: GPUBuffer;
  /** f32 `[row of the tile][queryHead][headSize]`, rotated, not scaled: the queries of the tile prefilled last. */
  readonly tileQueries: GPUBuffer;
  /** u32, see scores/layer_record.ts. */
  readonly layerRecords: GPUBuffer;
  /** u32, the blocks of all block tables; see cache/block.ts. */
  readonly table: GPUBuffer;
}

/** A prompt of the pack whose rows are to be scored. */
export interface SegmentScoring {
  /** Which window of the window queries. */
  readonly segmentIndex: number;
  /** Queries stored there before those of the scorer's own window, where the prompt is also scored with a larger one. */
  readonly earlierQueries?: number;
  /** Queries of the window that are stored, the last ones; all of them if not given. */
  readonly queries?: number;
  /** First row of the prompt in the pack. */
  readonly start: number;
  /** Rows of the prompt; more than the scorer's window. */
  readonly length: number;
  /** First word of the layer record whose histogram is added to. */
  readonly recordOffset: number;
  /** First word of histograms of every KV head, if those are to be added to instead. */
  readonly headHistograms?: number;
}

/** Rows of a prompt whose attention is to be summed. */
export interface TileRows {
  /** First row of the prompt in the pack. */
  readonly start: number;
  /** What the attention of each row is divided by: the rows of the whole prompt. */
  readonly length: number;
  /** First of the rows in the prompt, and in the tile. */
  readonly first: number;
  readonly tileRow: number;
  readonly count: number;
}

/** Rows of a pack and where they go. */
export interface RowGather {
  /** First row of the pack to copy; where the rows are ranked, the first row of their segment. */
  readonly start: number;
  readonly count: number;
  /** Entry of the table with the block of the first row copied. */
  readonly tableOffset: number;
}

/** How scores are pooled where the scorer does not say. */
const UNPOOLED = { kernel: 1, pooling: "maximum" } as const;

/** What it takes to sum the attention of all queries. */
interface AttentionBindings {
  /** f32 `[kvHead][capacity]`: the sums. */
  readonly buffer: GPUBuffer;
  readonly statistics: Binding;
  readonly sums: Binding;
  readonly pool: Binding;
}

/** What it takes to read ahead. */
interface ReadAheadBindings {
  readonly spread: Binding;
  readonly pool: Binding;
}

/** What it takes to let the best rows look for others. */
interface LookupBindings {
  /** f32 `[row of the pack][queryHead][headSize]`: the queries of all rows of the layer. */
  readonly queries: GPUBuffer;
  readonly rank: Binding;
  readonly gather: Binding;
  readonly partials: Binding;
  readonly scores: Binding;
}

/** Scores, ranks and gathers rows; one per engine. */
export class Compressor {
  /** Pooled scores f32 `[kvHead][capacity]` of the segment scored last, `length - window` of them per head. */
  readonly pooled: GPUBuffer;
  /** Positions u32 `[kvHead][capacity]` of the segment ranked last, best first, relative to its start. */
  readonly indices: GPUBuffer;
  readonly #scratch: GPUBuffer[];
  readonly #partials: Binding;
  readonly #combine: Binding;
  readonly #scores: Binding;
  readonly #pool: Binding;
  readonly #rank: Binding;
  readonly #gathers: Binding[] = [];
  readonly #arenas: GPUBuffer[] = [];
  /**
   * u32 (source, target) of slots that are moved by what is being recorded, of which the first `#moveCount` are taken; and the
   * kernel by arena.
   */
  readonly #moves: () => { readonly list: GPUBuffer; readonly bindings: Binding[] };
  #moveCount = 0;
  /** Submits of the recorder that the moves are taken for. */
  #moveSubmits = -1;
  readonly #attention: () => AttentionBindings;
  readonly #gatherSums: () => { readonly gathered: GPUBuffer; readonly gather: Binding };
  readonly #moments: () => { readonly scores: Binding; readonly sum: Binding };
  readonly #readAhead: () => ReadAheadBindings;
  readonly #lookups: () => LookupBindings;
  readonly #averageHeads: () => Binding;
  readonly #weighByRows: () => Binding;
  readonly #weighByHeads: () => { readonly norms: GPUBuffer; readonly largest: Binding; readonly weigh: Binding };
  readonly #recency: () => Binding;
  readonly #keyNorm: () => Binding;
  readonly #keyDifference: () => { readonly directions: Binding; readonly scores: Binding };

  constructor(
    readonly gpu: Gpu,
    readonly options: CompressorOptions,
    readonly buffers: CompressorBuffers,
  ) {
    const { kvHeadCount, queryHeadCount, headSize, element, capacity } = options;
    const { keys, windowQueries, tileQueries, layerRecords } = buffers;
    const rowWords = kvHeadCount * capacity * 4;
    const partials = gpu.createBuffer("window partials", windowPartialsBytes(kvHeadCount, queryHeadCount, capacity));
    const statistics = gpu.createBuffer("window statistics", windowStatisticsBytes(kvHeadCount, queryHeadCount));
    const scores = gpu.createBuffer("window scores", rowWords);
    const survivors = gpu.createBuffer("ranking scratch", topRowsScratchBytes(kvHeadCount, capacity));
    this.pooled = gpu.createBuffer("pooled scores", rowWords);
    this.indices = gpu.createBuffer("ranked positions", rowWords);
    this.#scratch = [partials, statistics, scores, survivors, this.pooled, this.indices];

    const window = windowScores(element, headSize);
    this.#partials = this.gpu.binding(window.partials, [keys, windowQueries, partials]);
    this.#combine = this.gpu.binding(window.combine, [partials, statistics]);
    this.#scores = this.gpu.binding(window.scores, [keys, windowQueries, statistics, scores]);
    this.#pool = this.gpu.binding(poolScores, [scores, this.pooled, layerRecords]);
    this.#rank = this.gpu.binding(topRows, [this.pooled, survivors, this.indices]);

    this.#attention = once(() => {
      const sums = gpu.createBuffer("attention sums", rowWords);
      // A number for each query.
      const statistics = gpu.createBuffer("attention statistics", tileQueries.size / headSize);
      this.#scratch.push(sums, statistics);
      const kernels = attentionSums({ element, headSize, subgroupSize: gpu.subgroupSize });
      return {
        buffer: sums,
        statistics: gpu.binding(kernels.statistics, [tileQueries, keys, statistics]),
        sums: gpu.binding(kernels.sums, [tileQueries, keys, statistics, sums]),
        pool: gpu.binding(poolScores, [sums, this.pooled, layerRecords]),
      };
    });
    this.#gatherSums = once(() => {
      const gathered = gpu.createBuffer("gathered attention sums", rowWords);
      this.#scratch.push(gathered);
      return { gathered, gather: gpu.binding(gatherSums, [this.#attention().buffer, this.indices, gathered]) };
    });
    this.#moments = once(() => {
      const moments = gpu.createBuffer("window moments", windowMomentsBytes(kvHeadCount, capacity));
      this.#scratch.push(moments);
      const buffers = [keys, windowQueries, statistics, scores, moments];
      return {
        scores: gpu.binding(windowMoments(element, headSize), buffers),
        sum: gpu.binding(sumMoments, [moments, layerRecords]),
      };
    });
    const ahead = once(() => this.#keep(gpu.createBuffer("read-ahead scores", rowWords)));
    this.#readAhead = once(() => ({
      spread: gpu.binding(readAhead, [scores, ahead()]),
      pool: gpu.binding(poolScores, [ahead(), this.pooled, layerRecords]),
    }));
    this.#lookups = once(() => {
      const rowBytes = queryHeadCount * headSize * 4;
      const queries = this.#keep(gpu.createBuffer("queries of a layer", capacity * rowBytes));
      const best = this.#keep(gpu.createBuffer("lookup queries", MAX_LOOKUPS * rowBytes));
      const weights = this.#keep(gpu.createBuffer("lookup weights", lookupWeightsBytes(kvHeadCount)));
      const lookup = lookupScores(element, headSize);
      return {
        queries,
        rank: gpu.binding(topRows, [ahead(), survivors, this.indices]),
        gather: gpu.binding(lookup.gather, [queries, this.indices, ahead(), best, weights]),
        partials: gpu.binding(lookup.partials, [keys, best, ahead(), weights, partials]),
        scores: gpu.binding(lookup.scores, [keys, best, statistics, ahead(), weights, scores]),
      };
    });
    this.#moves = once(() => {
      const list = gpu.createBuffer("slot moves", MOST_MOVES * 8);
      this.#scratch.push(list);
      return { list, bindings: this.#arenas.map((arena) => gpu.binding(moveSlots(element), [list, arena])) };
    });
    this.#averageHeads = once(() => gpu.binding(averageHeads, [scores]));
    this.#weighByRows = once(() => gpu.binding(weighByRows(element, headSize), [buffers.values, scores]));
    this.#weighByHeads = once(() => {
      const norms = gpu.createBuffer("largest value norms", kvHeadCount * 4);
      this.#scratch.push(norms);
      return {
        norms,
        largest: gpu.binding(largestNorms(element, headSize), [buffers.values, norms]),
        weigh: gpu.binding(weighByHeads, [norms, scores]),
      };
    });
    this.#recency = once(() => gpu.binding(recencyScores, [scores]));
    this.#keyNorm = once(() => gpu.binding(keyNormScores(element, headSize), [keys, scores]));
    this.#keyDifference = once(() => {
      const sums = gpu.createBuffer("key directions", keyDirectionsBytes(kvHeadCount, headSize, capacity));
      this.#scratch.push(sums);
      return {
        directions: gpu.binding(keyDirections(element, headSize), [keys, sums]),
        scores: gpu.binding(keyDifferenceScores(element, headSize), [keys, sums, scores]),
      };
    });
  }

  /**
   * Lets rows be gathered into an arena of blocks: KV elements
   * `[block][kvHead][key = 0 | value = 1][BLOCK_ROWS][headSize]`.
   *
   * @returns the arena's index, counted from 0
   */
  addArena(arena: GPUBuffer): number {
    const { keys, values, table } = this.buffers;
    this.#gathers.push(this.gpu.binding(gatherRows(this.options.element), [keys, values, this.indices, table, arena]));
    this.#arenas.push(arena);
    return this.#gathers.length - 1;
  }

  /**
   * Adds the attention that rows of the tile prefilled last pay to the rows of their prompt, before the next tile is prefilled.
   * The scorer `attention-sums` needs this for every row of a layer, in order.
   */
  addAttention(recorder: Recorder, rows: TileRows): void {
    const { statistics, sums } = this.#attention();
    const dispatches = attentionSumsDispatches({ ...this.options, ...rows });
    recorder.dispatch(statistics, dispatches.statistics);
    recorder.dispatch(sums, dispatches.sums);
  }

  /** Keeps the attention that has been added to the rows of the segment ranked last, of those `ranked` and its window. */
  keepAttention(
    recorder: Recorder,
    carried: CarriedAttention,
    layer: number,
    kept: Omit<GatherSumsShape, "capacity" | "kvHeadCount">,
  ): void {
    const { capacity, kvHeadCount } = this.options;
    const { gathered, gather } = this.#gatherSums();
    const rows = kept.ranked + kept.window;
    recorder.dispatch(gather, gatherSumsDispatch({ ...kept, kvHeadCount, capacity }));
    for (let head = 0; head < kvHeadCount; head++) {
      recorder.copy(gathered, head * capacity * 4, carried.buffer, carried.offset(layer, head), rows * 4);
    }
    carried.rankedRows[layer] = kept.ranked;
    carried.windowRows[layer] = kept.window;
  }

  /** Starts from what was kept of a layer, of which `ranked` ranked rows are left, before the attention of later rows is added. */
  resumeAttention(recorder: Recorder, carried: CarriedAttention, layer: number, ranked: number): void {
    const { capacity, kvHeadCount } = this.options;
    const { buffer } = this.#attention();
    const window = carried.windowRows[layer];
    recorder.clear(buffer);
    for (let head = 0; head < kvHeadCount && window > 0; head++) {
      const copy = (from: number, to: number, rows: number) => {
        const source = carried.offset(layer, head, from);
        recorder.copy(carried.buffer, source, buffer, (head * capacity + to) * 4, rows * 4);
      };
      copy(0, 0, ranked);
      copy(carried.rankedRows[layer], ranked, window);
    }
  }

  /**
   * Keeps the queries of the tile prefilled last, before the next tile is prefilled. A scorer with lookups needs this for
   * every row of a layer.
   *
   * @param row first row of the tile in the pack
   */
  keepQueries(recorder: Recorder, row: number, count: number): void {
    const rowBytes = this.options.queryHeadCount * this.options.headSize * 4;
    recorder.copy(this.buffers.tileQueries, 0, this.#lookups().queries, row * rowBytes, count * rowBytes);
  }

  /**
   * Scores and pools all rows of a segment before its window into {@link pooled}, and adds their histogram to the layer
   * record; if `statistics` are wanted, writes to it how the attention of the window's rows, at most `MAX_WINDOW`, is spread.
   *
   * @throws {RangeError} when the segment, the window or the pooling cannot be scored
   */
  scoreSegment(recorder: Recorder, segment: SegmentScoring, scorer: RankingScorer, statistics = false): void {
    const { start, length, recordOffset, headHistograms } = segment;
    const { window } = scorer;
    const { capacity, kvHeadCount } = this.options;
    if (scorer.name === "observation-window") checkObservationWindow(scorer);
    if (scorer.name === "read-ahead") checkReadAhead(scorer);
    if (length <= window) {
      throw new RangeError(`Cannot score a prompt of ${length} rows: expected more than the ${window} of its window`);
    }
    if (start + length > capacity) {
      throw new RangeError(`Cannot score rows up to ${start + length}: the pack holds ${capacity}`);
    }
    const scored = length - window;
    if (statistics && scorer.name !== "observation-window" && scorer.name !== "read-ahead") {
      // For the statistics alone: the scores are written over.
      this.#attend(recorder, segment, { window: Math.min(window, MAX_WINDOW) }, statistics);
    }
    switch (scorer.name) {
      case "observation-window":
        this.#attend(recorder, segment, scorer, statistics);
        if (scorer.sharedByHeads) {
          recorder.dispatch(this.#averageHeads(), averageHeadsDispatch({ kvHeadCount, scored, capacity }));
        }
        if (scorer.valueNorm !== undefined) this.#weighByValues(recorder, start, scored, scorer.valueNorm);
        break;
      case "read-ahead":
        this.#attend(recorder, segment, scorer, statistics);
        if (scorer.lookups > 0) this.#lookUp(recorder, segment, scorer);
        recorder.dispatch(
          this.#readAhead().spread,
          readAheadDispatch({ kvHeadCount, length: scored, capacity, decay: scorer.decay }),
        );
        break;
      case "recency":
        recorder.dispatch(
          this.#recency(),
          recencyScoresDispatch({ kvHeadCount, length, scored, capacity, sinks: scorer.sinks }),
        );
        break;
      case "key-norm":
      case "key-difference":
        this.#scoreByKeys(recorder, segment, scorer);
        break;
      case "attention-sums":
        // All there is to do has been done by addAttention().
        break;
    }
    const { kernel, pooling } = scorer.name === "observation-window" ? scorer : UNPOOLED;
    const areSummed = scorer.name === "attention-sums";
    recorder.dispatch(
      this.#poolOf(scorer),
      poolScoresDispatch({
        kvHeadCount,
        start: areSummed ? start : 0,
        length: scored,
        capacity,
        width: kernel,
        pooling,
        histogramOffset: headHistograms ?? recordOffset,
        byHead: headHistograms !== undefined,
      }),
    );
  }

  /**
   * Ranks the segment scored last: {@link indices} then starts with the `count` best rows of each KV head.
   *
   * @throws {RangeError} when there are fewer rows than `count`
   */
  rankSegment(
    recorder: Recorder,
    { length, window, count }: { readonly length: number; readonly window: number; readonly count: number },
  ): void {
    const scored = length - window;
    if (count > scored) throw new RangeError(`Cannot keep ${count} ranked rows: only ${scored} were scored`);
    if (count === 0) return;
    const { capacity, kvHeadCount } = this.options;
    recorder.dispatch(
      this.#rank,
      topRowsDispatch({ kvHeadCount, length: scored, count, scoreCapacity: capacity, indexCapacity: capacity }),
    );
  }

  /** Copies the `count` best rows of the segment ranked last into the blocks listed in the table from `tableOffset` on. */
  gatherRanked(recorder: Recorder, arena: number, rows: RowGather): void {
    this.#gather(recorder, arena, rows, true);
  }

  /** Copies rows `start` to `start + count` of the pack into the blocks listed in the table from `tableOffset` on. */
  gatherRange(recorder: Recorder, arena: number, rows: RowGather): void {
    this.#gather(recorder, arena, rows, false);
  }

  /**
   * Copies slots of an arena.
   *
   * @param moves (source, target) of each; no slot is both
   */
  moveSlots(recorder: Recorder, arena: number, moves: Uint32Array<ArrayBuffer>): void {
    const { headSize } = this.options;
    if (moves.length === 0) return;
    const { list, bindings } = this.#moves();
    for (let done = 0; done < moves.length / 2;) {
      // The list is uploaded before anything of this submit runs: what has been written to it stays until then.
      if (recorder.submits !== this.#moveSubmits) this.#moveCount = 0;
      if (this.#moveCount === MOST_MOVES) {
        recorder.submit();
        this.#moveCount = 0;
      }
      const count = Math.min(moves.length / 2 - done, MOST_MOVES - this.#moveCount);
      this.gpu.write(list, this.#moveCount * 8, moves.subarray(2 * done, 2 * (done + count)));
      recorder.dispatch(bindings[arena], moveSlotsDispatch({ headSize, firstMove: this.#moveCount, count }));
      // Only now, for the dispatch may have had to submit what came before it.
      this.#moveSubmits = recorder.submits;
      this.#moveCount += count;
      done += count;
    }
  }

  /** Frees the scratch. The buffers given at construction and the arenas stay. */
  destroy(): void {
    for (const buffer of this.#scratch) this.gpu.destroyBuffer(buffer);
  }

  /** Scores by the attention of the last `window` rows, and writes its statistics if they are wanted. */
  #attend(
    recorder: Recorder,
    { segmentIndex, earlierQueries = 0, queries = MAX_WINDOW, start, length, recordOffset }: SegmentScoring,
    { window: kept, varianceWeight, groupMaximum }: Pick<
      ObservationWindow,
      "window" | "varianceWeight" | "groupMaximum"
    >,
    statistics: boolean,
  ): void {
    const window = Math.min(kept, queries);
    const firstQuery = segmentIndex * MAX_WINDOW + earlierQueries;
    const shape = { ...this.options, firstQuery, start, length, window };
    const isPlain = varianceWeight === undefined && !groupMaximum;
    const { partials, combine, scores } = windowScoresDispatches(shape);
    recorder.dispatch(this.#partials, partials);
    recorder.dispatch(this.#combine, combine);
    if (isPlain && !statistics) return recorder.dispatch(this.#scores, scores);
    const { moments, sum } = windowMomentsDispatches({
      ...shape,
      weight: isPlain ? 1 : 1 / window,
      varianceWeight: varianceWeight ?? 0,
      isMaximum: groupMaximum ?? false,
      recordOffset,
    });
    recorder.dispatch(this.#moments().scores, moments);
    if (statistics) recorder.dispatch(this.#moments().sum, sum);
  }

  /** Adds to the scores what the queries of the best rows look for. */
  #lookUp(recorder: Recorder, { start, length }: SegmentScoring, { window, decay, lookups }: ReadAhead): void {
    const { capacity, kvHeadCount } = this.options;
    const scored = length - window;
    const looking = Math.min(lookups, scored - 1);
    if (looking === 0) return;
    const { rank, gather, partials, scores } = this.#lookups();
    const dispatches = lookupScoresDispatches({ ...this.options, start, scored, lookups: looking });
    recorder.dispatch(this.#readAhead().spread, readAheadDispatch({ kvHeadCount, length: scored, capacity, decay }));
    recorder.dispatch(
      rank,
      topRowsDispatch({
        kvHeadCount,
        length: scored,
        count: looking,
        scoreCapacity: capacity,
        indexCapacity: capacity,
      }),
    );
    recorder.dispatch(gather, dispatches.gather);
    recorder.dispatch(partials, dispatches.partials);
    recorder.dispatch(this.#combine, dispatches.combine);
    recorder.dispatch(scores, dispatches.scores);
  }

  #poolOf({ name }: RankingScorer): Binding {
    if (name === "attention-sums") return this.#attention().pool;
    return name === "read-ahead" ? this.#readAhead().pool : this.#pool;
  }

  #keep(buffer: GPUBuffer): GPUBuffer {
    this.#scratch.push(buffer);
    return buffer;
  }

  #weighByValues(recorder: Recorder, start: number, scored: number, by: "row" | "head"): void {
    const { capacity, kvHeadCount } = this.options;
    const shape = { kvHeadCount, start, scored, capacity };
    if (by === "row") {
      recorder.dispatch(this.#weighByRows(), weighByRowsDispatch(shape));
    } else {
      const { norms, largest, weigh } = this.#weighByHeads();
      const dispatches = weighByHeadsDispatches(shape);
      recorder.clear(norms);
      recorder.dispatch(largest, dispatches.largest);
      recorder.dispatch(weigh, dispatches.weigh);
    }
  }

  #scoreByKeys(recorder: Recorder, { start, length }: SegmentScoring, { name, window }: KeyNorm | KeyDifference): void {
    const { capacity, kvHeadCount } = this.options;
    const shape = { kvHeadCount, start, length, scored: length - window, capacity };
    if (name === "key-norm") {
      recorder.dispatch(this.#keyNorm(), keyNormScoresDispatch(shape));
    } else {
      const { directions, scores } = this.#keyDifference();
      const dispatches = keyDifferenceScoresDispatches(shape);
      recorder.dispatch(directions, dispatches.directions);
      recorder.dispatch(scores, dispatches.scores);
    }
  }

  #gather(recorder: Recorder, arena: number, rows: RowGather, isRanked: boolean): void {
    const { kvHeadCount, headSize, capacity } = this.options;
    recorder.dispatch(
      this.#gathers[arena],
      gatherRowsDispatch({ kvHeadCount, headSize, capacity, indexCapacity: capacity, isRanked, ...rows }),
    );
  }
}

function checkWindow(window: number): void {
  if (!(window >= 1 && window <= MAX_WINDOW)) {
    throw new RangeError(`Cannot score with a window of ${window} rows: expected 1 to ${MAX_WINDOW}`);
  }
}

function checkReadAhead({ window, lookups }: ReadAhead): void {
  checkWindow(window);
  if (!(lookups >= 0 && lookups <= MAX_LOOKUPS)) {
    throw new RangeError(`Cannot score with ${lookups} lookups: expected 0 to ${MAX_LOOKUPS}`);
  }
}

function checkObservationWindow({ window, kernel }: ObservationWindow): void {
  checkWindow(window);
  if (!(kernel >= 1 && kernel % 2 === 1)) {
    throw new RangeError(`Cannot pool with a kernel of ${kernel}: expected an odd number`);
  }
}

/** Makes something when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}
