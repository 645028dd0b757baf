/**
 * @file One decode step for a batch of sequences, entirely on the GPU: the last tokens go in, the next ones come out.
 *
 *     embed -> { norm+QKV -> rotate+store -> attention -> out+residual -> norm+gate/up+SwiGLU -> down+residual } x layers
 *           -> norm+logits -> sample
 */
import type { Binding, Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import {
  decodeAttentionDispatches,
  decodeAttentionKernel,
  mergeSplitsKernel,
  SPLIT_ROWS,
} from "../kernels/forward/decode_attention.ts";
import { rotateKernel, rotatePagesDispatch } from "../kernels/forward/rotate.ts";
import { subgroupDecodeAttentionKernel } from "../kernels/forward/subgroup_decode_attention.ts";
import { LANES } from "../kernels/lanes.ts";
import { swiglu, swigluDispatch } from "../kernels/forward/swiglu.ts";
import type { BatchRow, BatchRows } from "./batch_state.ts";
import type { Dimensions } from "./dimensions.ts";
import { Embedder } from "./token_embedding.ts";
import { FewVectors, type Rows } from "./project.ts";
import type { Sampler } from "./sampler.ts";
import type { LayerWeights, Weights } from "./weights.ts";

/** A layer's dispatches. */
interface DecoderLayer {
  readonly queryKeyValue: FewVectors;
  /** By arena. */
  readonly rotate: readonly Binding[];
  readonly output: FewVectors;
  readonly gateUp: FewVectors;
  readonly down: FewVectors;
}

export class Decoder {
  readonly #layers: readonly DecoderLayer[];
  readonly #embedder: Embedder;
  /** By arena. */
  readonly #attention: readonly Binding[];
  readonly #merge: Binding;
  readonly #activate: Binding;
  /** f32 `[maxBatch, queryHeads, headSize]` of the layer recorded last. */
  readonly #queries: GPUBuffer;
  readonly #attended: Rows;

  /**
   * @param ropeTable f32 `[positions, headSize / 2, 2]`: cosines and sines
   * @param arenas the block pool's buffers
   */
  constructor(
    readonly gpu: Gpu,
    readonly dimensions: Dimensions,
    weights: Weights,
    ropeTable: GPUBuffer,
    arenas: readonly GPUBuffer[],
    batchRows: BatchRows,
    readonly sampler: Sampler,
  ) {
    const {
      config,
      maxBatch,
      kvElement,
      queryKeyValueStride,
      querySize,
      attentionStride,
      feedForwardStride,
      maxSplits,
    } = dimensions;
    const { queryHeadCount: queryHeads, kvHeadCount: kvHeads, headSize } = config;
    const rows = (label: string, stride: number): Rows => ({
      buffer: gpu.createBuffer(`decode ${label}`, maxBatch * stride * 4),
      stride,
    });
    const { state } = batchRows;
    const hidden = sampler.hidden;
    const queryKeyValue = rows("queries, keys, values", queryKeyValueStride);
    const queries = this.#queries = gpu.createBuffer("decode queries", maxBatch * querySize * 4);
    this.#attended = rows("attention output", attentionStride);
    const gateUp = rows("gate and up", 2 * feedForwardStride);
    const activated = rows("activations", feedForwardStride);
    const partials = gpu.createBuffer("attention partials", maxBatch * querySize * maxSplits * 4);
    const stats = gpu.createBuffer("attention statistics", maxBatch * queryHeads * maxSplits * 8);

    this.#embedder = new Embedder(gpu, weights.embedding, config.vocabularySize, state.tokens, batchRows.slots, hidden);
    const variant = { element: kvElement, queryHeads, kvHeads, headSize };
    const rotate = rotateKernel({
      ...variant,
      destination: "pages",
      pairing: config.rope.pairing,
      queryKeyNorm: config.queryKeyNorm,
    });
    const outputs = [partials, stats, this.#attended.buffer];
    const attentionKernel = gpu.subgroupSize === LANES
      ? subgroupDecodeAttentionKernel(variant)
      : decodeAttentionKernel(variant);
    this.#attention = arenas.map((arena) =>
      gpu.binding(attentionKernel, [
        queries,
        batchRows.rows,
        batchRows.layerRows,
        state.tables,
        arena,
        ...outputs,
      ])
    );
    this.#merge = gpu.binding(mergeSplitsKernel(variant), outputs);
    this.#activate = gpu.binding(swiglu, [gateUp.buffer, activated.buffer]);

    const norm = (weight: GPUBuffer) => ({ weight, width: config.hiddenSize, epsilon: config.rmsNormEpsilon });
    this.#layers = weights.layers.map((layer: LayerWeights): DecoderLayer => ({
      queryKeyValue: new FewVectors(
        gpu,
        layer.queryKeyValue,
        hidden,
        queryKeyValue,
        "store",
        norm(layer.attentionNorm),
      ),
      rotate: arenas.map((arena) =>
        gpu.binding(rotate, [
          queryKeyValue.buffer,
          ropeTable,
          ...(layer.queryKeyNorms ? [layer.queryKeyNorms] : []),
          batchRows.rows,
          batchRows.layerRows,
          state.tables,
          queries,
          arena,
        ])
      ),
      output: new FewVectors(gpu, layer.output, this.#attended, hidden, "residual"),
      // Gate and up of different types are two matrices: then the activation is a dispatch of its own.
      gateUp: layer.gateUp.parts.length === 1
        ? new FewVectors(gpu, layer.gateUp, hidden, activated, "gated", norm(layer.feedForwardNorm))
        : new FewVectors(gpu, layer.gateUp, hidden, gateUp, "store", norm(layer.feedForwardNorm)),
      down: new FewVectors(gpu, layer.down, activated, hidden, "residual"),
    }));
  }

  /**
   * Records one step for the batch that the batch rows were set to. Every sequence's cache grows by one row per layer, whose
   * block must be in its table.
   *
   * @param step steps of this submit before this one
   */
  record(recorder: Recorder, batch: readonly BatchRow[], step: number): void {
    const { config, queryKeyValueStride, positions, maxBatch, tableStride, feedForwardStride } = this.dimensions;
    const count = batch.length;
    const arenas = arenaRanges(batch);
    this.#embedder.record(recorder, 0, count, true);
    for (const [layer, dispatches] of this.#layers.entries()) {
      dispatches.queryKeyValue.record(recorder, count);
      let longest = 0;
      for (const row of batch) longest = Math.max(longest, row.rankedRows[layer] + row.recentRows[layer] + step + 1);
      for (const { arena, first, length } of arenas) {
        const shape = {
          queryHeads: config.queryHeadCount,
          kvHeads: config.kvHeadCount,
          headSize: config.headSize,
          firstRow: first,
          count: length,
          layer,
          step,
          countMax: maxBatch,
          tableStride,
          qkvStride: queryKeyValueStride,
          epsilon: config.rmsNormEpsilon,
          positionLimit: positions,
          splits: Math.ceil(longest / SPLIT_ROWS),
          outStride: this.#attended.stride,
        };
        recorder.dispatch(dispatches.rotate[arena], rotatePagesDispatch(shape));
        const { split, merge } = decodeAttentionDispatches(shape);
        recorder.dispatch(this.#attention[arena], split);
        if (merge !== null) recorder.dispatch(this.#merge, merge);
      }
      this.#logQueries(recorder, batch, layer, step);
      dispatches.output.record(recorder, count);
      dispatches.gateUp.record(recorder, count);
      if (dispatches.gateUp.epilogue !== "gated") {
        recorder.dispatch(this.#activate, swigluDispatch({ width: feedForwardStride, count }));
      }
      dispatches.down.record(recorder, count);
    }
    this.sampler.record(recorder, batch, step);
  }

  /** Keeps the queries of the layer recorded last for the sequences that will ask what they attended to. */
  #logQueries(recorder: Recorder, batch: readonly BatchRow[], layer: number, step: number): void {
    for (const [row, { queryLog, position }] of batch.entries()) {
      const logRow = queryLog?.rowOf(position + step) ?? -1;
      if (queryLog === null || logRow < 0) continue;
      const { rowBytes } = queryLog;
      recorder.copy(this.#queries, row * rowBytes, queryLog.buffer, queryLog.offset(layer, logRow), rowBytes);
    }
  }
}

/** The runs of neighbouring rows that live in one arena. */
function arenaRanges(batch: readonly BatchRow[]): { arena: number; first: number; length: number }[] {
  const ranges: { arena: number; first: number; length: number }[] = [];
  batch.forEach(({ arena }, row) => {
    const last = ranges.at(-1);
    if (last?.arena === arena) last.length++;
    else ranges.push({ arena, first: row, length: 1 });
  });
  return ranges;
}
