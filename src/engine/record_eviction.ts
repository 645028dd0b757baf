/**
 * @file Records an eviction while tokens are generated: rows of every layer of a sequence are scored, and the best and their
 * window go back into its blocks. When it comes to that, eviction.ts says.
 */
import { BLOCK_ROWS, blocksFor } from "../cache/block.ts";
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
  sequence.evictions++;
  const layers = { fromLayer: 0, throughLayer: layerCount - 1 };
  const rows = eviction.protection.leavesPrompt ? "generated" as const : undefined;
  const transfer = { sequence, policy, start: 0, ...layers, isRebalance: true, rows };
  sendScores(model, recorder, readback, transfer);
  return { ...transfer, heldRows };
}

function evictLayer(
  model: Model,
  compressor: DecodeCompressor,
  recorder: Recorder,
  { request: { prompt }, residence, evictions }: Sequence,
  eviction: DecodeEviction,
  layer: number,
): void {
  const { policy, policy: { window }, interval, queries, protection: { leavesPrompt }, promptRows } = eviction;
  const { slot, cache, buffers } = residence;
  const { arena } = cache;
  const carried = buffers?.carriedAttention ?? null;
  // In the units of the prompt's sums. Where an interval has more rows than are asked, these speak for all of them.
  const summing = carried && { carried, divisor: prompt.length * queries / interval };
  const isFirst = evictions === 0;
  const rows = eviction.rowsOf(cache, layer);
  const length = rows.ranked + rows.recent;
  const firstEntry = model.slots.tableOffset(slot, layer);
  // Only of a prompt that is left alone can heads hold different numbers of rows.
  const tableOffset = leavesPrompt ? firstEntry + cache.rankedBlocks(layer) : firstEntry;
  const stretches = leavesPrompt ? eviction.generatedSlots(cache, layer, isFirst) : null;
  compressor.score(recorder, { arena, tableOffset, ...rows, stretches }, {
    layer,
    score: eviction.score(isFirst, rows),
    statistics: policy.attentionStatistics,
    queryLog: buffers?.queryLog ?? null,
    summing,
    recordOffset: model.recordLayout.record(slot, layer),
  });
  const ranked = Math.min(policy.provisionalRows(layer), length - window);
  const kept = { arena, tableOffset, ranked, recent: window };
  if (leavesPrompt) {
    cache.keepGenerated(layer, promptRows + window, ranked);
    compressor.store(recorder, length, { ...kept, rankedSlot: promptRows + window, recentSlot: promptRows }, {
      layer,
      summing,
    });
    return;
  }
  cache.rearrange(layer, ranked, window);
  // Blocks at most join a table's end, so that what reads it in this submit still finds its own.
  writeTables(model, residence);
  const recentSlot = blocksFor(ranked) * BLOCK_ROWS;
  compressor.store(recorder, length, { ...kept, rankedSlot: 0, recentSlot }, { layer, summing });
}
