/**
 * @file Prompts being prefilled together, layer by layer, and the compression of each of their layers.
 *
 * After a layer's last tile, each prompt's rows go from the layer's scratch into its blocks: all of them, or the ones its
 * policy ranks highest. Scores travel to the host while the next layers are prefilled, so a re-allotment takes effect one
 * interval late. Rows that the prefix cache has pass no layer, see prompt_prefix.ts.
 */
import { BLOCK_ROWS, blocksFor } from "../cache/block.ts";
import type { SegmentScoring } from "../compression/scoring_work.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { PREFILL_TILE_ROWS } from "../model/dimensions.ts";
import type { Model } from "../model/model.ts";
import type { Segment } from "../model/prefiller.ts";
import { keepsQueries } from "../policy/steps/step_rules.ts";
import { batchRow } from "./batch_row.ts";
import { writeTables } from "./block_tables.ts";
import { PromptPrefix, queryWindow } from "./prompt_prefix.ts";
import type { Readback } from "./readback.ts";
import { type HostScoring, requestHostScoring } from "./host_scoring.ts";
import { clearScores, type ScoreTransfer, sendScores } from "./score_transfer.ts";
import type { Sequence } from "./sequence.ts";
import { type Tile, tilesOf } from "./tiles.ts";
import { writeMask } from "./token_masks.ts";

/** A sequence's part in a pack. */
interface Member {
  readonly sequence: Sequence;
  readonly segment: Segment;
  readonly prefix: PromptPrefix;
  /** The first layer whose scores have not been sent. */
  unsentLayer: number;
}

export class Pack {
  /** Pack rows, from the first to the one behind the last. */
  readonly firstRow: number;
  readonly endRow: number;
  readonly #segments: readonly Segment[];
  readonly #members: readonly Member[];
  /** By segment. */
  readonly #prefixes: readonly PromptPrefix[];
  readonly #tiles: readonly Tile[];
  #layer = 0;
  /** The next tile. */
  #tile = 0;
  /** The host's part in the scores of a layer that has been read, and waits for it to be scored; empty if none does. */
  #hostScorings: readonly HostScoring[] = [];

  /**
   * Places the prompts of `groups`, whose sequences must have been admitted, into the pack rows from `firstRow` on.
   *
   * @param windows where the last queries of each prompt go; nobody else's until the pack has ended
   */
  constructor(
    readonly model: Model,
    recorder: Recorder,
    groups: readonly Sequence[][],
    firstRow: number,
    readonly windows: readonly number[],
  ) {
    this.firstRow = firstRow;
    let start = firstRow;
    const members: Member[] = [];
    const prefixes: PromptPrefix[] = [];
    this.#segments = groups.map((group, index) => {
      const [{ request: { prompt: tokens } }] = group;
      const window = Math.max(...group.map(queryWindow));
      const segment = { tokens, start, window, windowIndex: windows[index] };
      const prefix = new PromptPrefix(model, group, start);
      start += tokens.length;
      prefixes.push(prefix);
      members.push(...group.map((sequence) => ({ sequence, segment, prefix, unsentLayer: 0 })));
      return segment;
    });
    this.#members = members;
    this.endRow = start;
    this.#prefixes = prefixes;
    const prompts = this.#segments.map(({ start, tokens: { length } }, index) => ({
      start,
      length,
      cachedRows: this.#prefixes[index].rows,
    }));
    this.#tiles = tilesOf(prompts, PREFILL_TILE_ROWS);
    model.prefiller.place(this.#segments);
    for (const { sequence } of members) {
      if (sequence.policy !== null) clearScores(model, recorder, sequence);
    }
  }

  get isDone(): boolean {
    return this.#layer === this.model.config.layerCount || this.#members.every(({ sequence }) => sequence.isFinished);
  }

  /** Layers that all of its prompts have passed. */
  get layersRead(): number {
    return this.#layer;
  }

  /** The part of its work that is recorded, from 0 to 1. */
  get share(): number {
    const { length } = this.#tiles;
    return (this.#layer * length + this.#tile) / (this.model.config.layerCount * length);
  }

  /** Those that have not ended. */
  get sequences(): readonly Sequence[] {
    return this.#members.flatMap(({ sequence }) => sequence.isFinished ? [] : [sequence]);
  }

  /** Whether the queries of all rows that pass a layer are needed. */
  get #keepsQueries(): boolean {
    return this.#members.some(({ sequence: { isFinished, policy } }) =>
      !isFinished && policy !== null && keepsQueries(policy.needs)
    );
  }

  /**
   * Records up to `tiles` tiles. Stops early where scores have to be read back, so that at most one lot is on its way
   * per submit, and where the host has a part in them.
   *
   * @returns the tiles recorded, the scores to be read back, and what the host is to compute then
   */
  record(
    recorder: Recorder,
    readback: Readback,
    tiles: number,
  ): { tiles: number; transfers: ScoreTransfer[]; hostScorings: readonly HostScoring[] } {
    if (this.#hostScorings.length > 0) {
      const transfers = this.#storeLayers(recorder, readback);
      this.#hostScorings = [];
      if (transfers.length > 0 || this.isDone) return { tiles: 0, transfers, hostScorings: [] };
    }
    for (let done = 1; done <= tiles; done++) {
      if (this.#tile === 0) { for (const prefix of this.#prefixes) prefix.restore(recorder, this.#layer); }
      const { first, count } = this.#tiles[this.#tile++];
      this.model.prefiller.recordTile(recorder, this.#layer, first, count);
      this.#addAttention(recorder, first, count);
      if (this.#keepsQueries) this.model.compressor.keepQueries(recorder, first, count);
      if (this.#tile < this.#tiles.length) continue;
      this.#hostScorings = this.#members.flatMap((member) => this.#requestHostScoring(recorder, member) ?? []);
      if (this.#hostScorings.length > 0) return { tiles: done, transfers: [], hostScorings: this.#hostScorings };
      const transfers = this.#storeLayers(recorder, readback);
      if (transfers.length > 0 || this.isDone) return { tiles: done, transfers, hostScorings: [] };
    }
    return { tiles, transfers: [], hostScorings: [] };
  }

  /** Whether the prompts stand still, as the host has not computed what the present layer's scores need. */
  get isWaiting(): boolean {
    return this.#hostScorings.some(({ numbers }) => numbers === null);
  }

  #requestHostScoring(recorder: Recorder, member: Member): HostScoring | null {
    if (member.sequence.isFinished) return null;
    return requestHostScoring(this.model, recorder, member.sequence, this.#layer, this.#scoringOf(member, this.#layer));
  }

  /** Records the way of the rows of the layer that has been read from the scratch into blocks. */
  #storeLayers(recorder: Recorder, readback: Readback): ScoreTransfer[] {
    const layer = this.#layer++;
    this.#tile = 0;
    for (const prefix of this.#prefixes) prefix.store(recorder, layer);
    return this.#members.flatMap((member) =>
      member.sequence.isFinished ? [] : this.#storeLayer(recorder, readback, member, layer)
    );
  }

  #scoringOf({ sequence, segment, prefix }: Member, layer: number): SegmentScoring {
    const { recordLayout } = this.model;
    const { slot } = sequence.residence;
    return {
      segmentIndex: segment.windowIndex,
      counter: slot,
      earlierQueries: segment.window - queryWindow(sequence),
      start: segment.start,
      length: segment.tokens.length,
      layer,
      recordOffset: recordLayout.record(slot, layer),
      headHistograms: sequence.policy?.perHead ? recordLayout.headHistograms(slot) : undefined,
      hostNumbers: this.#hostScorings.find((scoring) => scoring.sequence === sequence)?.numbers ?? undefined,
      knownScores: prefix.scoresOf(layer),
    };
  }

  /** Lets others find the prompts where all layers have been recorded, and lets go of what was found of them. Idempotent. */
  end(): void {
    for (const prefix of this.#prefixes) {
      if (this.#layer === this.model.config.layerCount) prefix.commit();
      prefix.release();
    }
  }

  /** Records the vectors of all prompts that are to be embedded; the pack must be done. */
  recordEmbeddings(recorder: Recorder, readback: Readback): Sequence[] {
    const members = this.#members.filter(({ sequence }) => !sequence.isFinished && sequence.request.embed);
    if (members.length === 0) return [];
    const pooler = this.model.promptPooler();
    members.forEach(({ sequence, segment: { start, tokens: { length } } }, target) =>
      pooler.record(recorder, { start, length, pooling: sequence.request.embed!, target })
    );
    readback.copyEmbeddings(recorder, pooler.pooled, members.length);
    return members.map(({ sequence }) => sequence);
  }

  /** Records the first tokens of all prompts that are gone on from; the pack must be done. */
  recordFirstTokens(recorder: Recorder): Sequence[] {
    const { prefiller, firstRows, firstSampler, dimensions } = this.model;
    const rowBytes = dimensions.hiddenStride * 4;
    const members = this.#members.filter(({ sequence }) => !sequence.isFinished && !sequence.request.embed);
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
    const { policy, window, residence, eviction } = sequence;
    const { slot, cache, buffers, positions } = residence;
    const { arena } = cache;
    const { start, tokens: { length } } = segment;
    const tableOffset = slots.tableOffset(slot, layer);
    if (policy === null) {
      const shared = cache.recentRows[layer];
      cache.appendRecent(layer, length - shared);
      writeTables(this.model, residence);
      compressor.gatherRange(recorder, arena, {
        start: start + shared,
        count: length - shared,
        tableOffset: tableOffset + shared / BLOCK_ROWS,
      });
      return [];
    }

    const ranked = policy.provisionalRows(layer);
    cache.setRanked(layer, ranked);
    cache.appendRecent(layer, window);
    writeTables(this.model, residence);
    const scoring = this.#scoringOf(member, layer);
    const { headHistograms } = scoring;
    if (headHistograms !== undefined) {
      recorder.clear(layerRecords, headHistograms * 4, recordLayout.headHistogramsWords * 4);
    }
    compressor.scoreSegment(recorder, scoring, policy.score, policy.attentionStatistics);
    compressor.rankSegment(recorder, { length, window, count: ranked });
    positions?.record(recorder, compressor, layer, ranked);
    compressor.gatherRanked(recorder, arena, { start, count: ranked, tableOffset });
    compressor.gatherRange(recorder, arena, {
      start: start + length - window,
      count: window,
      tableOffset: tableOffset + blocksFor(ranked),
    });
    const carriedAttention = buffers?.carriedAttention;
    if (carriedAttention && policy.needs.attentionSums && !eviction!.protection.leavesPrompt) {
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
