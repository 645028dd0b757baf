/**
 * @file Prompts being prefilled together, layer by layer, and the compression of each of their layers.
 *
 * After a layer's last tile, each prompt's rows go from the layer's scratch into its blocks: all of them, or the ones its
 * policy ranks highest. Scores travel to the host while the next layers are prefilled, so a re-allotment takes effect one
 * interval late.
 */
import { blocksFor } from "../cache/block.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { PREFILL_TILE_ROWS } from "../model/dimensions.ts";
import type { Model } from "../model/model.ts";
import type { Segment } from "../model/prefiller.ts";
import { MAX_WINDOW } from "../scores/limits.ts";
import { batchRow } from "./batch_row.ts";
import { writeTables } from "./block_tables.ts";
import type { Readback } from "./readback.ts";
import { clearScores, type ScoreTransfer, sendScores } from "./score_transfer.ts";
import type { Sequence } from "./sequence.ts";
import { writeMask } from "./token_masks.ts";

/** A sequence's part in a pack. */
interface Member {
  readonly sequence: Sequence;
  readonly segment: Segment;
  /** The first layer whose scores have not been sent. */
  unsentLayer: number;
}

export class Pack {
  /** Pack rows, from the first to the one behind the last. */
  readonly firstRow: number;
  readonly endRow: number;
  readonly #segments: readonly Segment[];
  readonly #members: readonly Member[];
  #layer = 0;
  #row: number;

  /** Places the prompts of `groups`, whose sequences must have been admitted, into the pack rows from `firstRow` on. */
  constructor(readonly model: Model, recorder: Recorder, groups: readonly Sequence[][], firstRow: number) {
    this.firstRow = firstRow;
    this.#row = firstRow;
    let start = firstRow;
    const members: Member[] = [];
    this.#segments = groups.map((group) => {
      const [{ request: { prompt: tokens }, residence: { slot: windowIndex } }] = group;
      const window = Math.max(...group.map(queryWindow));
      const segment = { tokens, start, window, windowIndex };
      start += tokens.length;
      members.push(...group.map((sequence) => ({ sequence, segment, unsentLayer: 0 })));
      return segment;
    });
    this.#members = members;
    this.endRow = start;
    model.prefiller.place(this.#segments);
    for (const { sequence } of members) {
      if (sequence.policy !== null) clearScores(model, recorder, sequence);
    }
  }

  get isDone(): boolean {
    return this.#layer === this.model.config.layerCount || this.#members.every(({ sequence }) => sequence.isFinished);
  }

  /** Whether the queries of all rows are needed. */
  get #needsLayerQueries(): boolean {
    return this.#members.some(({ sequence: { isFinished, policy } }) => !isFinished && policy?.needs.layerQueries);
  }

  /** Whether the next tile is the last of its layer. */
  get #endsLayer(): boolean {
    return this.#row + PREFILL_TILE_ROWS >= this.endRow;
  }

  /**
   * Records up to `tiles` tiles. Stops early where scores have to be read back, so that at most one lot is on its way
   * per submit.
   *
   * @returns the tiles recorded, and the scores to be read back
   */
  record(recorder: Recorder, readback: Readback, tiles: number): { tiles: number; transfers: ScoreTransfer[] } {
    for (let done = 1; done <= tiles; done++) {
      const endsLayer = this.#endsLayer;
      const count = Math.min(PREFILL_TILE_ROWS, this.endRow - this.#row);
      this.model.prefiller.recordTile(recorder, this.#layer, this.#row, count);
      this.#addAttention(recorder, this.#row, count);
      if (this.#needsLayerQueries) this.model.compressor.keepQueries(recorder, this.#row, count);
      this.#row += count;
      if (!endsLayer) continue;
      const layer = this.#layer++;
      this.#row = this.firstRow;
      const transfers = this.#members.flatMap((member) =>
        member.sequence.isFinished ? [] : this.#storeLayer(recorder, readback, member, layer)
      );
      if (transfers.length > 0 || this.isDone) return { tiles: done, transfers };
    }
    return { tiles, transfers: [] };
  }

  /** Records the first tokens of all prompts; the pack must be done. */
  recordFirstTokens(recorder: Recorder): Sequence[] {
    const { prefiller, firstRows, firstSampler, dimensions } = this.model;
    const rowBytes = dimensions.hiddenStride * 4;
    const members = this.#members.filter(({ sequence }) => !sequence.isFinished);
    const sequences = members.map(({ sequence }) => sequence);
    if (sequences.length === 0) return sequences;
    members.forEach(({ segment: { start, tokens } }, row) => {
      const source = (start + tokens.length - 1) * rowBytes;
      recorder.copy(prefiller.hidden.buffer, source, firstSampler.hidden.buffer, row * rowBytes, rowBytes);
    });
    const batch = sequences.map(batchRow);
    for (const sequence of sequences) writeMask(this.model, sequence);
    firstRows.set(batch);
    firstSampler.record(recorder, batch, 0);
    for (const { tokens, runsAhead, constraint } of sequences) {
      tokens.recorded = 1;
      if (!runsAhead) constraint!.isReady = false;
    }
    return sequences;
  }

  /** Sums the attention of the tile just recorded for the prompts that are scored by that of all their rows. */
  #addAttention(recorder: Recorder, row: number, count: number): void {
    for (const segment of this.#segments) {
      const { start, tokens: { length } } = segment;
      const isSummed = this.#members.some(({ sequence, segment: own }) =>
        own === segment && !sequence.isFinished && sequence.policy?.needs.attentionSums
      );
      const begin = Math.max(row, start);
      const end = Math.min(row + count, start + length);
      if (!isSummed || begin >= end) continue;
      this.model.compressor.addAttention(recorder, {
        start,
        length,
        first: begin - start,
        tileRow: begin - row,
        count: end - begin,
      });
    }
  }

  /** Records the way of one prompt's rows of a layer from the scratch into blocks. */
  #storeLayer(
    recorder: Recorder,
    readback: Readback,
    member: Member,
    layer: number,
  ): ScoreTransfer[] {
    const { compressor, slots, layerRecords, recordLayout } = this.model;
    const { sequence, segment } = member;
    const { policy, window, residence } = sequence;
    const { slot, cache, buffers } = residence;
    const { arena } = cache;
    const { start, tokens: { length }, windowIndex } = segment;
    const tableOffset = slots.tableOffset(slot, layer);
    if (policy === null) {
      cache.appendRecent(layer, length);
      writeTables(this.model, residence);
      compressor.gatherRange(recorder, arena, { start, count: length, tableOffset });
      return [];
    }

    const ranked = policy.provisionalRows(layer);
    cache.setRanked(layer, ranked);
    cache.appendRecent(layer, window);
    writeTables(this.model, residence);
    const headHistograms = policy.perHead ? recordLayout.headHistograms(slot) : undefined;
    if (headHistograms !== undefined) {
      recorder.clear(layerRecords, headHistograms * 4, recordLayout.headHistogramsWords * 4);
    }
    const earlierQueries = segment.window - queryWindow(sequence);
    const recordOffset = recordLayout.record(slot, layer);
    const scoring = { segmentIndex: windowIndex, earlierQueries, start, length, recordOffset, headHistograms };
    compressor.scoreSegment(recorder, scoring, policy.score, policy.attentionStatistics);
    compressor.rankSegment(recorder, { length, window, count: ranked });
    compressor.gatherRanked(recorder, arena, { start, count: ranked, tableOffset });
    compressor.gatherRange(recorder, arena, {
      start: start + length - window,
      count: window,
      tableOffset: tableOffset + blocksFor(ranked),
    });
    const carriedAttention = buffers?.carriedAttention;
    if (carriedAttention && policy.needs.attentionSums) {
      compressor.keepAttention(recorder, carriedAttention, layer, { start, length, ranked, window });
    }

    const isRebalance = policy.isRebalanceDue(layer);
    if (!isRebalance && !policy.exactScores && !policy.perHead) return [];
    const transfer = { sequence, policy, start, fromLayer: member.unsentLayer, throughLayer: layer, isRebalance };
    member.unsentLayer = layer + 1;
    sendScores(this.model, recorder, readback, transfer);
    return [transfer];
  }
}

/** Rows at the end of a prompt whose queries are needed to score the others, or for statistics. */
function queryWindow({ policy, window }: Sequence): number {
  if (policy === null) return 0;
  const { needs, attentionStatistics } = policy;
  return needs.windowQueries || attentionStatistics ? Math.min(window, MAX_WINDOW) : 0;
}
