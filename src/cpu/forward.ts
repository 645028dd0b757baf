/**
 * @file The forward pass on the CPU: products by kernels of our own or in onnxruntime, what lies between them on plain arrays.
 *
 *     hidden -> [norm, query/key/value] -> rotate, store -> attention -> [output, norm, feed-forward] -> hidden
 *
 * The same for tiles of prompts and for the rows of a decode step; only attention differs. Everything lies in onnxruntime's
 * memory.
 */
import { ropeFrequencies } from "../architecture/rope.ts";
import type { Rotary } from "../policy/context.ts";
import type { ModelConfig } from "../architecture/config.ts";
import type { LayerRows } from "./cache/layer_rows.ts";
import { attentionGraph, meanAttentionGraph, probabilitiesGraph, rehearsalGraph } from "./graphs/attention.ts";
import { queryKeyValueSize } from "./products/graphs.ts";
import { type Products, TILE_ROWS } from "./products/products.ts";
import { type Place, runGraph } from "./products/run_graph.ts";
import { RehearsalOnCrew } from "./rehearsal.ts";
import { rotateRow } from "./rotate.ts";
import type { HeapFloats, Onnxruntime } from "./runtime/onnxruntime.ts";
import { fitsCrew, StepAttention } from "./step_attention.ts";
import { fitsTileKernel, TileAttention } from "./tile_attention.ts";
import type { Session, Tensor } from "./runtime/session.ts";

/** Elements of the masked probabilities of one KV head that attention holds at a time. */
const PROBABILITIES = 2 ** 24;
/** Logits of rows that are not seen; a finite number, so that no difference is none. */
const UNSEEN = -1e30;

interface Sessions {
  readonly attention: Session;
  readonly probabilities: Session;
  readonly meanAttention: Session;
  readonly rehearsal: Session;
}

/** Keys, values and queries of rows of one prompt, as attention needs them. */
export interface AttendedRows {
  /** `[kvHead][queryHead of the group][row][headSize]`. Of a tile, made when asked for, and good until the next tile. */
  readonly queries: HeapFloats;
  /** Rows of queries. */
  readonly count: number;
  /** Rows that the first query sees; each sees one more than the one before it. */
  readonly seen: number;
  /** Addresses of the first key and the first value of a KV head. */
  keys(head: number): number;
  values(head: number): number;
}

export class Forward {
  /** Elements of a row of queries. */
  readonly querySize: number;
  /** f32 `[TILE_ROWS, queries + keys + values]` of the rows that {@link before} ran on; rotated by {@link rotate}. */
  readonly queryKeyValue: HeapFloats;
  readonly queryKeyValueSize: number;
  /** f32 `[TILE_ROWS, querySize]`: what {@link after} runs on. */
  readonly attended: HeapFloats;
  /** f32 `[rows, vocabularySize]`. */
  readonly logits: HeapFloats;
  /** f32 `[TILE_ROWS, queryHeadCount, 2]`: see {@link TileRows}. Of {@link attendTile}, where {@link rehearsalOnCrew} can use it. */
  readonly chunkSums: HeapFloats;
  /** Queries and outputs of attention, heads first. */
  readonly #headQueries: HeapFloats;
  readonly #headOutputs: HeapFloats;
  #mask: HeapFloats;
  /** Zeros, and behind them as many of {@link UNSEEN}: any cut is the mask of so many rows and some behind them. */
  #padding: HeapFloats;
  /** Null where onnxruntime computes single rows too. */
  readonly #stepAttention: StepAttention | null;
  /** Null where onnxruntime computes tiles. */
  readonly #tileAttention: TileAttention | null;
  /** Null where onnxruntime scores chunks by their own queries. */
  readonly rehearsalOnCrew: RehearsalOnCrew | null;
  /** How queries and keys are rotated. */
  readonly rotary: Rotary;

  private constructor(
    readonly runtime: Onnxruntime,
    readonly config: ModelConfig,
    readonly products: Products,
    /** f32 `[positions, headSize / 2, 2]`: cosines and sines. */
    readonly ropeTable: Float32Array,
    readonly sessions: Sessions,
    logitRows: number,
  ) {
    const { queryHeadCount, headSize, vocabularySize } = config;
    this.querySize = queryHeadCount * headSize;
    this.queryKeyValueSize = queryKeyValueSize(config);
    const positions = ropeTable.length / headSize;
    this.rotary = { frequencies: ropeFrequencies(config.rope, positions), pairing: config.rope.pairing };
    const rows = Math.max(TILE_ROWS, logitRows);
    this.queryKeyValue = runtime.floats(rows * this.queryKeyValueSize);
    this.attended = runtime.floats(rows * this.querySize);
    this.#headQueries = runtime.floats(TILE_ROWS * this.querySize);
    this.#headOutputs = runtime.floats(TILE_ROWS * this.querySize);
    this.logits = runtime.floats(logitRows * vocabularySize);
    this.chunkSums = runtime.floats(TILE_ROWS * queryHeadCount * 2);
    const { crew } = products;
    this.#stepAttention = crew !== null && fitsCrew(config)
      ? new StepAttention(runtime, config, crew, logitRows)
      : null;
    this.#tileAttention = crew !== null && fitsTileKernel(config) ? new TileAttention(runtime, config, crew) : null;
    this.rehearsalOnCrew = crew !== null && fitsTileKernel(config)
      ? new RehearsalOnCrew(runtime, config, crew, ropeTable, config.rope.pairing)
      : null;
    this.#mask = runtime.floats(1);
    this.#padding = runtime.floats(0);
  }

  /** Compiles the graphs. @param logitRows most rows of a decode step */
  static async create(
    runtime: Onnxruntime,
    config: ModelConfig,
    products: Products,
    ropeTable: Float32Array,
    logitRows: number,
  ): Promise<Forward> {
    const { headSize } = config;
    const sessions: Sessions = {
      attention: await runtime.session(attentionGraph(headSize)),
      probabilities: await runtime.session(probabilitiesGraph(headSize)),
      meanAttention: await runtime.session(meanAttentionGraph(headSize)),
      rehearsal: await runtime.session(rehearsalGraph(headSize)),
    };
    return new Forward(runtime, config, products, ropeTable, sessions, logitRows);
  }

  /** Queries, keys and values of rows of hidden states, into {@link queryKeyValue}. */
  before(layer: number, hidden: number, rows: number): void {
    this.products.queryKeyValue(layer, hidden, rows, this.queryKeyValue.address);
  }

  /** Normalises and rotates queries and keys of a row of {@link queryKeyValue}. */
  rotate(layer: number, row: number, position: number): void {
    const at = row * this.queryKeyValueSize;
    rotateRow(this.queryKeyValue.values, at, position, this.ropeTable, this.config, this.products.norms[layer]);
  }

  /** The rest of the layer: changes the hidden states by {@link attended}. */
  after(layer: number, hidden: number, rows: number): void {
    this.products.afterAttention(layer, this.attended.address, hidden, rows);
  }

  /** Logits of rows of hidden states, into {@link logits}. */
  computeLogits(hidden: number, rows: number): void {
    this.products.logits(hidden, rows, this.logits.address);
  }

  /** Attention of rows of {@link queryKeyValue} to all rows of a cache each, into the same rows of {@link attended}. */
  attendRows(caches: readonly LayerRows[]): void {
    if (this.#stepAttention === null) return caches.forEach((cache, row) => this.#attendRow(row, cache));
    const { queryKeyValue, queryKeyValueSize, attended, querySize } = this;
    this.#stepAttention.run(caches, queryKeyValue.address, queryKeyValueSize * 4, attended.address, querySize * 4);
  }

  /** The same of one row, in onnxruntime. */
  #attendRow(row: number, cache: LayerRows): void {
    const { kvHeadCount, queryHeadCount, headSize } = this.config;
    const group = queryHeadCount / kvHeadCount;
    const queries = this.queryKeyValue.address + row * this.queryKeyValueSize * 4;
    const attended = this.attended.address + row * this.querySize * 4;
    if (cache.isEven) {
      const capacity = cache.capacity(0);
      this.#run(this.sessions.attention, [
        [queries, [kvHeadCount, 1, group, headSize]],
        [cache.keyAddress(0), [kvHeadCount, 1, capacity, headSize]],
        [this.#paddingMask(cache.rows(0), capacity), [1, capacity]],
        [cache.valueAddress(0), [kvHeadCount, 1, capacity, headSize]],
      ], [[attended, [kvHeadCount, 1, group, headSize]]]);
      return;
    }
    for (let head = 0; head < kvHeadCount; head++) {
      const rows = cache.rows(head);
      const offset = head * group * headSize * 4;
      this.#run(this.sessions.attention, [
        [queries + offset, [1, 1, group, headSize]],
        [cache.keyAddress(head), [1, 1, rows, headSize]],
        [this.#paddingMask(rows, rows), [1, rows]],
        [cache.valueAddress(head), [1, 1, rows, headSize]],
      ], [[attended + offset, [1, 1, group, headSize]]]);
    }
  }

  /**
   * Attention of rows of a prompt, which are rows `first` to `first + count` of {@link queryKeyValue}, to all rows up to
   * themselves, into {@link attended}.
   *
   * @param seen rows of the prompt that the first of them sees
   * @returns the rows, for their scores
   */
  attendTile(
    first: number,
    count: number,
    seen: number,
    keys: (head: number) => number,
    values: (head: number) => number,
  ): AttendedRows {
    let queries: HeapFloats | null = null;
    const headsFirst = () => queries ??= this.#headsFirst(first, count);
    const rows: AttendedRows = {
      get queries() {
        return headsFirst();
      },
      count,
      seen,
      keys,
      values,
    };
    if (this.#tileAttention === null) this.#attendTileByGraph(first, rows);
    else {
      this.#tileAttention.run({
        queries: this.queryKeyValue.address + first * this.queryKeyValueSize * 4,
        queryStride: this.queryKeyValueSize * 4,
        outputs: this.attended.address + first * this.querySize * 4,
        outputStride: this.querySize * 4,
        count,
        seen,
        keys: keys(0),
        values: values(0),
        headStride: keys(1) - keys(0),
        chunkSums: this.chunkSums.address + first * this.config.queryHeadCount * 8,
      });
    }
    return rows;
  }

  /** The same in onnxruntime. */
  #attendTileByGraph(first: number, { queries, count, seen, keys, values }: AttendedRows): void {
    const { kvHeadCount, queryHeadCount, headSize } = this.config;
    const group = queryHeadCount / kvHeadCount;
    const rows = seen + count - 1;
    // Tall heaps of probabilities are made in slices of the queries.
    const slice = Math.max(1, Math.min(count, Math.floor(PROBABILITIES / (group * rows))));
    if (slice === count) this.#fillMask(count, seen);
    for (let head = 0; head < kvHeadCount; head++) {
      if (slice === count) {
        this.#run(this.sessions.attention, [
          [queries.address + head * group * count * headSize * 4, [1, group, count, headSize]],
          [keys(head), [1, 1, rows, headSize]],
          [this.#mask.address, [count, rows]],
          [values(head), [1, 1, rows, headSize]],
        ], [[this.#headOutputs.address + head * group * count * headSize * 4, [1, group, count, headSize]]]);
        continue;
      }
      for (let i = 0; i < count; i += slice) {
        const part = Math.min(slice, count - i);
        const seenNow = seen + i;
        const rowsNow = seenNow + part - 1;
        this.#fillMask(part, seenNow);
        for (let inGroup = 0; inGroup < group; inGroup++) {
          const offset = ((head * group + inGroup) * count + i) * headSize * 4;
          this.#run(this.sessions.attention, [
            [queries.address + offset, [1, 1, part, headSize]],
            [keys(head), [1, 1, rowsNow, headSize]],
            [this.#mask.address, [part, rowsNow]],
            [values(head), [1, 1, rowsNow, headSize]],
          ], [[this.#headOutputs.address + offset, [1, 1, part, headSize]]]);
        }
      }
    }
    this.#rowsFirst(first, count);
  }

  /**
   * What each query of a KV head pays to each row, `[queryHead of the group][row][seen + count - 1]`: to be freed by the caller.
   * Rows that a query does not see get 0.
   */
  probabilities(rows: AttendedRows, head: number): HeapFloats {
    const { group, length, inputs } = this.#probabilityInputs(rows, head);
    const result = this.runtime.floats(group * rows.count * length);
    this.#run(this.sessions.probabilities, inputs, [[result.address, [1, group, rows.count, length]]]);
    return result;
  }

  /**
   * What queries of a KV head pay to rows, `[queryHead of the group][query][rows]`: to be freed by the caller.
   *
   * @param queries `[queryHead of the group][query][headSize]`
   * @param keys address of the first key
   * @param isSeen whether the queries see a row
   */
  probabilitiesOf(
    queries: HeapFloats,
    count: number,
    keys: number,
    rows: number,
    isSeen: (row: number) => boolean,
  ): HeapFloats {
    const { kvHeadCount, queryHeadCount, headSize } = this.config;
    const group = queryHeadCount / kvHeadCount;
    const mask = this.runtime.floats(rows);
    for (let row = 0; row < rows; row++) mask.values[row] = isSeen(row) ? 0 : UNSEEN;
    const result = this.runtime.floats(group * count * rows);
    this.#run(this.sessions.probabilities, [
      [queries.address, [1, group, count, headSize]],
      [keys, [1, 1, rows, headSize]],
      [mask.address, [1, rows]],
    ], [[result.address, [1, group, count, rows]]]);
    this.runtime.free(mask);
    return result;
  }

  /** What the queries of a KV head pay to each row on average, `[seen + count - 1]`: to be freed by the caller. */
  meanAttention(rows: AttendedRows, head: number): HeapFloats {
    const { length, inputs } = this.#probabilityInputs(rows, head);
    const result = this.runtime.floats(length);
    this.#run(this.sessions.meanAttention, inputs, [[result.address, [1, length]]]);
    return result;
  }

  /**
   * The most that rows of a KV head are paid by any of their own queries that are asked again: see kernels/scoring/rehearsal_scores.ts.
   * To be freed by the caller.
   *
   * @param queries `[queryHead of the group][count][headSize]`
   * @param turned the same at the place at which they are asked again
   * @param keys address of the first key
   */
  rehearsed(queries: HeapFloats, turned: HeapFloats, count: number, keys: number): HeapFloats {
    const { kvHeadCount, queryHeadCount, headSize } = this.config;
    const shape = [1, queryHeadCount / kvHeadCount, count, headSize];
    this.#fillMask(count, 1);
    const result = this.runtime.floats(count);
    this.#run(this.sessions.rehearsal, [
      [queries.address, shape],
      [keys, [1, 1, count, headSize]],
      [this.#mask.address, [count, count]],
      [turned.address, shape],
    ], [[result.address, [1, count]]]);
    return result;
  }

  #probabilityInputs({ queries, count, seen, keys }: AttendedRows, head: number) {
    const { kvHeadCount, queryHeadCount, headSize } = this.config;
    const group = queryHeadCount / kvHeadCount;
    const length = seen + count - 1;
    this.#fillMask(count, seen);
    const inputs: (Tensor | Place)[] = [
      [queries.address + head * group * count * headSize * 4, [1, group, count, headSize]],
      [keys(head), [1, 1, length, headSize]],
      [this.#mask.address, [count, length]],
    ];
    return { group, length, inputs };
  }

  /** Queries of rows of {@link queryKeyValue}, `[queryHead][row][headSize]`. */
  #headsFirst(first: number, count: number): HeapFloats {
    const { queryHeadCount, headSize } = this.config;
    const source = this.queryKeyValue.values;
    const target = this.#headQueries.values;
    for (let row = 0; row < count; row++) {
      const from = (first + row) * this.queryKeyValueSize;
      for (let head = 0; head < queryHeadCount; head++) {
        const at = (head * count + row) * headSize;
        for (let i = 0; i < headSize; i++) target[at + i] = source[from + head * headSize + i];
      }
    }
    return this.#headQueries;
  }

  /** The other way round, from the outputs of attention into {@link attended}. */
  #rowsFirst(first: number, count: number): void {
    const { queryHeadCount, headSize } = this.config;
    const source = this.#headOutputs.values;
    const target = this.attended.values;
    for (let row = 0; row < count; row++) {
      const to = (first + row) * this.querySize;
      for (let head = 0; head < queryHeadCount; head++) {
        const at = (head * count + row) * headSize;
        for (let i = 0; i < headSize; i++) target[to + head * headSize + i] = source[at + i];
      }
    }
  }

  /** `[count, seen + count - 1]`: query i sees the first `seen + i` rows. */
  #fillMask(count: number, seen: number): void {
    const length = seen + count - 1;
    if (this.#mask.values.length < count * length) {
      this.runtime.free(this.#mask);
      this.#mask = this.runtime.floats(count * length);
    }
    for (let i = 0; i < count; i++) {
      this.#mask.values.fill(0, i * length, i * length + seen + i);
      this.#mask.values.fill(UNSEEN, i * length + seen + i, (i + 1) * length);
    }
  }

  /** Address of a mask of `length` rows, of which the first `rows` are seen. */
  #paddingMask(rows: number, length: number): number {
    if (2 * length > this.#padding.values.length) {
      this.runtime.free(this.#padding);
      this.#padding = this.runtime.floats(4 * length);
      this.#padding.values.fill(0, 0, 2 * length).fill(UNSEEN, 2 * length);
    }
    return this.#padding.address + (this.#padding.values.length / 2 - rows) * 4;
  }

  #run(session: Session, inputs: readonly (Tensor | Place)[], outputs: readonly Place[]): void {
    runGraph(this.runtime, session, inputs, outputs);
  }
}
