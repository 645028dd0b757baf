/**
 * @file Prompts being prefilled together, layer by layer, and the compression of each of their layers.
 *
 * After a layer's last tile, each prompt's rows go from the layer's scratch into its blocks: all of them, or the ones its
 * policy ranks highest. Scores travel to the host while the next layers are prefilled, so a re-allotment takes effect one
 * interval late.
 */
import { blocksFor } from "../cache/block.ts";
import { LAYER_RECORD_WORDS } from "../cache/layer_record.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { TILE_ROWS } from "../model/dimensions.ts";
import type { Model } from "../model/model.ts";
import type { Readback } from "./readback.ts";
import type { Sequence } from "./sequence.ts";

/** Scores that a submit sends to the host, and what is to be done with them. */
export interface ScoreTransfer {
  readonly sequence: Sequence;
  readonly segment: number;
  readonly fromLayer: number;
  readonly throughLayer: number;
  /** Whether the sequence's rows are to be allotted again. */
  readonly isRebalance: boolean;
}

export class Pack {
  readonly #starts: number[] = [];
  readonly #rows: number;
  /** By segment: the first layer whose scores have not been sent. */
  readonly #unsent: number[];
  #layer = 0;
  #row = 0;

  /** Makes `sequences`, which must have been admitted, the prefiller's pack. */
  constructor(readonly model: Model, recorder: Recorder, readonly sequences: readonly Sequence[]) {
    let start = 0;
    for (const { request } of sequences) {
      this.#starts.push(start);
      start += request.prompt.length;
    }
    this.#unsent = sequences.map(() => 0);
    this.#rows = model.prefiller.setPack(
      sequences.map(({ request, queryWindow }, i) => ({
        tokens: request.prompt,
        start: this.#starts[i],
        window: queryWindow,
      })),
    );
    if (sequences.some(({ policy }) => policy !== null)) recorder.clear(model.layerRecords);
  }

  get isDone(): boolean {
    return this.#layer === this.model.config.layerCount || this.sequences.every(({ isFinished }) => isFinished);
  }

  /** Whether the next tile is the last of its layer. */
  get #endsLayer(): boolean {
    return this.#row + TILE_ROWS >= this.#rows;
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
      const count = Math.min(TILE_ROWS, this.#rows - this.#row);
      this.model.prefiller.recordTile(recorder, this.#layer, this.#row, count);
      this.#addAttention(recorder, this.#row, count);
      this.#row += count;
      if (!endsLayer) continue;
      const layer = this.#layer++;
      this.#row = 0;
      const transfers = this.sequences.flatMap((sequence, segment) =>
        sequence.isFinished ? [] : this.#storeLayer(recorder, readback, sequence, segment, layer)
      );
      if (transfers.length > 0 || this.isDone) return { tiles: done, transfers };
    }
    return { tiles, transfers: [] };
  }

  /** Records the first tokens of all prompts; the pack must be done. */
  recordFirstTokens(recorder: Recorder): Sequence[] {
    const { prefiller, firstRows, firstSampler, dimensions } = this.model;
    const rowBytes = dimensions.hiddenStride * 4;
    const batch = this.sequences.filter(({ isFinished }) => !isFinished);
    if (batch.length === 0) return batch;
    batch.forEach((sequence, row) => {
      const segment = this.sequences.indexOf(sequence);
      const last = this.#starts[segment] + sequence.request.prompt.length - 1;
      recorder.copy(
        prefiller.hidden.buffer,
        last * rowBytes,
        firstSampler.hidden.buffer,
        row * rowBytes,
        rowBytes,
      );
    });
    firstRows.set(batch);
    firstSampler.record(recorder, batch, 0);
    for (const sequence of batch) sequence.recorded = 1;
    return batch;
  }

  /** Sums the attention of the tile just recorded for the prompts that are scored by that of all their rows. */
  #addAttention(recorder: Recorder, row: number, count: number): void {
    this.sequences.forEach(({ isFinished, policy, request }, segment) => {
      if (isFinished || policy?.scorer.name !== "attention-sums") return;
      const start = this.#starts[segment];
      const { length } = request.prompt;
      const begin = Math.max(row, start);
      const end = Math.min(row + count, start + length);
      if (begin >= end) return;
      this.model.compressor.addAttention(recorder, {
        start,
        length,
        first: begin - start,
        tileRow: begin - row,
        count: end - begin,
      });
    });
  }

  /** Records the way of one prompt's rows of a layer from the scratch into blocks. */
  #storeLayer(
    recorder: Recorder,
    readback: Readback,
    sequence: Sequence,
    segment: number,
    layer: number,
  ): ScoreTransfer[] {
    const { compressor, slots, layerRecords, config } = this.model;
    const { policy, cache, slot, arena, window } = sequence;
    const start = this.#starts[segment];
    const { length } = sequence.request.prompt;
    const tableOffset = slots.tableOffset(slot, layer);
    if (policy === null || policy.scorer.name === "none") {
      cache.appendRecent(layer, length);
      writeTables(this.model, sequence);
      compressor.gatherRange(recorder, arena, { start, count: length, tableOffset });
      return [];
    }

    const ranked = policy.provisionalRows(layer);
    cache.setRanked(layer, ranked);
    cache.appendRecent(layer, window);
    writeTables(this.model, sequence);
    const recordOffset = (segment * config.layerCount + layer) * LAYER_RECORD_WORDS;
    const scoring = { segmentIndex: segment, start, length, recordOffset };
    compressor.scoreSegment(recorder, scoring, policy.scorer, policy.attentionStatistics);
    compressor.rankSegment(recorder, { length, window, count: ranked });
    compressor.gatherRanked(recorder, arena, { start, count: ranked, tableOffset });
    compressor.gatherRange(recorder, arena, {
      start: start + length - window,
      count: window,
      tableOffset: tableOffset + blocksFor(ranked),
    });

    const isRebalance = policy.isRebalanceDue(layer);
    if (policy.exactScores) readback.copyScores(recorder, compressor.pooled, start, length - window);
    if (!isRebalance && !policy.exactScores) return [];
    const fromLayer = this.#unsent[segment];
    this.#unsent[segment] = layer + 1;
    readback.copyLayerRecords(recorder, layerRecords, segment, fromLayer, layer);
    return [{ sequence, segment, fromLayer, throughLayer: layer, isRebalance }];
  }

  /** First row of a segment in the pack. */
  start(segment: number): number {
    return this.#starts[segment];
  }
}

/** Uploads what has changed of a sequence's block tables. */
export function writeTables(model: Model, sequence: Sequence): void {
  sequence.cache.takeChanges((layer, first, table) => model.slots.writeTable(sequence.slot, layer, first, table));
}
