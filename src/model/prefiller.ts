/**
 * @file Prefill, layer by layer: all rows of a pack of prompts pass layer 0, then layer 1, and so on, in tiles of rows.
 *
 *     hidden states [pack rows]      all prompts' rows, from the first layer to the last
 *     keys, values  [pack rows]      of ONE layer; the next layer writes over them
 *     normed, q, ... [tile rows]     of one tile
 *
 * Packs in different rows do not touch each other: a short prompt can overtake a long one between two of its tiles.
 *
 * Only one layer's full keys and values exist at a time; what a policy keeps of them is gathered into the block pool
 * before the next layer begins. Rows whose keys and values come from the prefix cache pass no layer: their hidden states stay
 * empty.
 */
import type { Binding, Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { kvElementBytes } from "../kernels/kv_element.ts";
import {
  prefillAttentionDispatch,
  type PrefillAttentionKernel,
  prefillAttentionKernel,
} from "../kernels/forward/prefill_attention.ts";
import { rmsNorm, rmsNormDispatch } from "../kernels/forward/rms_norm.ts";
import { NO_WINDOW, rotateKernel, rotateScratchDispatch } from "../kernels/forward/rotate.ts";
import { LANES } from "../kernels/lanes.ts";
import { subgroupPrefillAttentionKernel } from "../kernels/forward/subgroup_prefill_attention.ts";
import { swiglu, swigluDispatch } from "../kernels/forward/swiglu.ts";
import { MAX_WINDOW } from "../scores/limits.ts";
import { type Dimensions, PREFILL_TILE_ROWS } from "./dimensions.ts";
import { Embedder } from "./token_embedding.ts";
import { ManyVectors, type Rows } from "./project.ts";
import type { Weights } from "./weights.ts";

/** A prompt's place among the pack rows. */
export interface Segment {
  readonly tokens: Uint32Array;
  /** First row. */
  readonly start: number;
  /** Rows whose queries are kept for scoring: the last ones; 0 for none. */
  readonly window: number;
  /** Which window of the window queries they are kept in. */
  readonly windowIndex: number;
}

interface PrefillLayer {
  readonly attentionNorm: Binding;
  readonly queryKeyValue: ManyVectors;
  readonly rotate: Binding;
  readonly output: ManyVectors;
  readonly feedForwardNorm: Binding;
  readonly gateUp: ManyVectors;
  readonly down: ManyVectors;
}

export class Prefiller {
  /** f32 `[packRows, hiddenStride]`. */
  readonly hidden: Rows;
  /** KV elements `[kvHeads, packRows, headSize]` of the layer prefilled last. */
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
  /** f32 `[maxBatch, MAX_WINDOW, queryHeads, headSize]`: the last queries of prompts. */
  readonly windowQueries: GPUBuffer;
  /** f32 `[PREFILL_TILE_ROWS, queryHeads, headSize]`: the queries of the tile recorded last. */
  readonly queries: GPUBuffer;
  readonly #tokens: GPUBuffer;
  readonly #rows: GPUBuffer;
  readonly #embedder: Embedder;
  readonly #attention: Binding;
  readonly #activate: Binding;
  readonly #layers: readonly PrefillLayer[];
  readonly #attentionKernel: PrefillAttentionKernel;
  readonly #attended: Rows;

  /** @param ropeTable f32 `[positions, headSize / 2, 2]`: cosines and sines */
  constructor(readonly gpu: Gpu, readonly dimensions: Dimensions, weights: Weights, ropeTable: GPUBuffer) {
    const { config, maxBatch, packRows, kvElement, querySize } = dimensions;
    const { queryHeadCount: queryHeads, kvHeadCount: kvHeads, headSize } = config;
    const rows = (label: string, count: number, stride: number): Rows => ({
      buffer: gpu.createBuffer(`prefill ${label}`, count * stride * 4),
      stride,
    });
    this.hidden = rows("hidden states", packRows, dimensions.hiddenStride);
    const layerBytes = kvHeads * packRows * headSize * kvElementBytes(kvElement);
    this.keys = gpu.createBuffer("prefill keys", layerBytes);
    this.values = gpu.createBuffer("prefill values", layerBytes);
    this.windowQueries = gpu.createBuffer("window queries", maxBatch * MAX_WINDOW * querySize * 4);
    this.#tokens = gpu.createBuffer("prompt tokens", packRows * 4);
    this.#rows = gpu.createBuffer("pack rows", packRows * 16);

    const normed = rows("normalised rows", PREFILL_TILE_ROWS, dimensions.hiddenStride);
    const queryKeyValue = rows("queries, keys, values", PREFILL_TILE_ROWS, dimensions.queryKeyValueStride);
    this.queries = gpu.createBuffer("prefill queries", PREFILL_TILE_ROWS * querySize * 4);
    this.#attended = rows("attention output", PREFILL_TILE_ROWS, dimensions.attentionStride);
    const gateUp = rows("gate and up", PREFILL_TILE_ROWS, 2 * dimensions.feedForwardStride);
    const activated = rows("activations", PREFILL_TILE_ROWS, dimensions.feedForwardStride);

    this.#embedder = new Embedder(
      gpu,
      weights.embedding,
      config.vocabularySize,
      this.#tokens,
      this.#rows,
      this.hidden,
    );
    const variant = { element: kvElement, queryHeads, kvHeads, headSize };
    const rotate = rotateKernel({
      ...variant,
      destination: "scratch",
      pairing: config.rope.pairing,
      queryKeyNorm: config.queryKeyNorm,
    });
    this.#attentionKernel = gpu.subgroupSize === LANES
      ? subgroupPrefillAttentionKernel(variant)
      : prefillAttentionKernel(variant);
    this.#attention = gpu.binding(this.#attentionKernel, [
      this.queries,
      this.keys,
      this.values,
      this.#rows,
      this.#attended.buffer,
    ]);
    this.#activate = gpu.binding(swiglu, [gateUp.buffer, activated.buffer]);
    this.#layers = weights.layers.map((layer): PrefillLayer => ({
      attentionNorm: gpu.binding(rmsNorm, [this.hidden.buffer, layer.attentionNorm, normed.buffer]),
      queryKeyValue: new ManyVectors(gpu, layer.queryKeyValue, normed, queryKeyValue, "store"),
      rotate: gpu.binding(rotate, [
        queryKeyValue.buffer,
        ropeTable,
        ...(layer.queryKeyNorms ? [layer.queryKeyNorms] : []),
        this.#rows,
        this.queries,
        this.keys,
        this.values,
        this.windowQueries,
      ]),
      output: new ManyVectors(gpu, layer.output, this.#attended, this.hidden, "residual"),
      feedForwardNorm: gpu.binding(rmsNorm, [this.hidden.buffer, layer.feedForwardNorm, normed.buffer]),
      gateUp: new ManyVectors(gpu, layer.gateUp, normed, gateUp, "store"),
      down: new ManyVectors(gpu, layer.down, activated, this.hidden, "residual"),
    }));
  }

  /** Places prompts that lie one after the other; other rows keep what they hold. */
  place(segments: readonly Segment[]): void {
    const first = segments[0].start;
    const total = segments.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const { packRows } = this.dimensions;
    if (first + total > packRows) {
      throw new RangeError(`Cannot prefill rows up to ${first + total}: there are ${packRows}`);
    }
    const tokens = new Uint32Array(total);
    const rows = new Uint32Array(total * 4);
    for (const segment of segments) {
      const { length } = segment.tokens;
      tokens.set(segment.tokens, segment.start - first);
      for (let position = 0; position < length; position++) {
        const inWindow = position - (length - segment.window);
        const window = inWindow < 0 ? NO_WINDOW : segment.windowIndex * MAX_WINDOW + inWindow;
        rows.set([position, segment.start, window], (segment.start - first + position) * 4);
      }
    }
    this.gpu.write(this.#tokens, first * 4, tokens);
    this.gpu.write(this.#rows, first * 16, rows);
  }

  /** Records rows `first` to `first + count` through one layer; at most a tile, and a prompt's rows in order. */
  recordTile(recorder: Recorder, layer: number, first: number, count: number): void {
    const { config, hiddenStride, queryKeyValueStride, packRows, positions, feedForwardStride } = this.dimensions;
    const { attentionNorm, queryKeyValue, rotate, output, feedForwardNorm, gateUp, down } = this.#layers[layer];
    const epsilon = config.rmsNormEpsilon;
    if (layer === 0) this.#embedder.record(recorder, first, count, false);
    const norm = rmsNormDispatch({ stride: hiddenStride, width: config.hiddenSize, epsilon, firstRow: first, count });
    recorder.dispatch(attentionNorm, norm);
    queryKeyValue.record(recorder, count);
    const shape = {
      queryHeads: config.queryHeadCount,
      kvHeads: config.kvHeadCount,
      headSize: config.headSize,
      firstRow: first,
      count,
      capacity: packRows,
    };
    recorder.dispatch(
      rotate,
      rotateScratchDispatch({ ...shape, qkvStride: queryKeyValueStride, epsilon, positionLimit: positions }),
    );
    recorder.dispatch(
      this.#attention,
      prefillAttentionDispatch({ ...shape, kernel: this.#attentionKernel, outStride: this.#attended.stride }),
    );
    output.record(recorder, count, first);
    recorder.dispatch(feedForwardNorm, norm);
    gateUp.record(recorder, count);
    recorder.dispatch(this.#activate, swigluDispatch({ width: feedForwardStride, count }));
    down.record(recorder, count, first);
  }
}
