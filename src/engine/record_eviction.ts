/**
 * @file Records an eviction while tokens are generated: every layer of a sequence is scored, and its best rows and its window
 * go back into its blocks. When it comes to that, eviction.ts says.
 */
import type { DecodeCompressor } from "../compression/decode_compressor.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Model } from "../model/model.ts";
import { writeTables } from "./block_tables.ts";
import type { DecodeEviction } from "./eviction.ts";
import type { Readback } from "./readback.ts";
import { clearScores, type ScoreTransfer, sendScores } from "./score_transfer.ts";
import type { Sequence } from "./sequence.ts";

/** Scores that an eviction sends to the host. */
export interface EvictionTransfer extends ScoreTransfer {
  /** Rows of each layer before it. */
  readonly heldRows: readonly number[];
}

/**
 * Records the eviction of a sequence. All its steps that are recorded so far must be in the same submit or an earlier one.
 *
 * @returns the scores to be read back, upon which the layers are cut to what the policy allots them
 */
export function recordEviction(
  model: Model,
  recorder: Recorder,
  readback: Readback,
  sequence: Sequence,
  eviction: DecodeEviction,
): EvictionTransfer {
  const { layerCount } = model.config;
  const { policy } = eviction;
  const heldRows = sequence.rowsPerLayer;
  clearScores(model, recorder, sequence);
  const compressor = model.decodeCompressor();
  for (let layer = 0; layer < layerCount; layer++) {
    // A layer has no rows to rank only where a policy has failed and another's window has taken its place.
    if (heldRows[layer] > policy.window) evictLayer(model, compressor, recorder, sequence, eviction, layer);
  }
  const transfer = { sequence, policy, start: 0, fromLayer: 0, throughLayer: layerCount - 1, isRebalance: true };
  sendScores(model, recorder, readback, transfer);
  return { ...transfer, heldRows };
}

function evictLayer(
  model: Model,
  compressor: DecodeCompressor,
  recorder: Recorder,
  { request: { prompt }, residence }: Sequence,
  { policy, score, interval, queries }: DecodeEviction,
  layer: number,
): void {
  const { slot, cache, buffers } = residence;
  const { arena } = cache;
  const carried = buffers?.carriedAttention ?? null;
  // In the units of the prompt's sums. Where an interval has more rows than are asked, these speak for all of them.
  const summing = carried && { carried, divisor: prompt.length * queries / interval };
  const tableOffset = model.slots.tableOffset(slot, layer);
  const rows = { arena, tableOffset, ranked: cache.rankedRows[layer], recent: cache.recentRows[layer] };
  const length = rows.ranked + rows.recent;
  compressor.score(recorder, rows, {
    layer,
    score,
    statistics: policy.attentionStatistics,
    queryLog: buffers?.queryLog ?? null,
    summing,
    recordOffset: model.recordLayout.record(slot, layer),
  });
  const ranked = Math.min(policy.provisionalRows(layer), length - policy.window);
  cache.rearrange(layer, ranked, policy.window);
  // Blocks at most join a table's end, so that what reads it in this submit still finds its own.
  writeTables(model, residence);
  compressor.store(recorder, length, { arena, tableOffset, ranked, recent: policy.window }, { layer, summing });
}
