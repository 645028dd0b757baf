/**
 * @file Prompts being read together, layer by layer in tiles of rows, and the compression of each of their layers.
 *
 *     hidden states [rows]   of all prompts, from the first layer to the last
 *     keys, values  [rows]   of ONE layer; the next layer writes over them
 *
 * After a layer's last tile, each sequence takes the rows that its policy keeps, so only one layer's full keys and values exist
 * at a time. Sequences with the same prompt share its rows. Rows that the prefix cache has pass no layer.
 */
import type { SequencePolicy } from "../policy/policy.ts";
import { keepsQueries } from "../policy/steps/step_rules.ts";
import { LayerRowsInHeap, type LayerToScore, scoreLayer } from "./layer_scoring.ts";
import { isReadAlike } from "../engine/prompt_groups.ts";
import { queryWindow } from "../engine/prompt_prefix.ts";
import { type Tile, tilesOf } from "../engine/tiles.ts";
import type { SourceRows } from "./cache/layer_rows.ts";
import type { PrefixCache } from "./cache/prefix_cache.ts";
import type { AttendedRows, Forward } from "./forward.ts";
import { TILE_ROWS } from "./products/products.ts";
import { bestRows } from "./ranking.ts";
import { PromptPrefix } from "./prompt_prefix.ts";
import type { HeapFloats } from "./runtime/onnxruntime.ts";
import type { Sequence } from "./sequence.ts";
import { computeOnHost } from "./steps/host_steps.ts";

/** A prompt's place among the rows of a pack. */
interface Segment {
  readonly sequences: readonly Sequence[];
  readonly prefix: PromptPrefix;
  readonly tokens: Uint32Array;
  readonly start: number;
  /** Queries of its last rows in the layer at hand, `[row][querySize]`. */
  readonly lastQueries: Float32Array;
  /** Queries of all its rows, where a policy looks rows up. */
  readonly allQueries: Float32Array | null;
  /** What they saw of their chunks, `[row][queryHead][2]`; where a policy scores by chunks and a crew attends. */
  readonly chunkSums: Float32Array | null;
  /** What its rows have been paid in the layer at hand, by KV head; where a policy asks. */
  readonly sums: readonly Float32Array[] | null;
}

/** Groups sequences that have the same prompt and the same salt. */
export function groupByPrompt(sequences: readonly Sequence[]): Sequence[][] {
  const groups: Sequence[][] = [];
  for (const sequence of sequences) {
    const group = groups.find(([{ request }]) => isReadAlike(request, sequence.request));
    if (group === undefined) groups.push([sequence]);
    else group.push(sequence);
  }
  return groups;
}

export class PromptPack {
  readonly rows: number;
  readonly #segments: readonly Segment[];
  /** `[rows, hiddenSize]` */
  readonly #hidden: HeapFloats;
  /** `[kvHead][rows][headSize]` */
  readonly #keys: HeapFloats;
  readonly #values: HeapFloats;
  readonly #tiles: readonly Tile[];
  #layer = 0;
  /** The next tile. */
  #tile = 0;

  /** @param groups sequences with equal prompts, which must have been admitted */
  constructor(readonly forward: Forward, prefixCache: PrefixCache, groups: readonly (readonly Sequence[])[]) {
    const { config: { queryHeadCount, kvHeadCount, headSize, hiddenSize }, querySize, runtime } = forward;
    let start = 0;
    this.#segments = groups.map((sequences): Segment => {
      const tokens = sequences[0].request.prompt;
      const window = Math.max(...sequences.map(queryWindow));
      const segment: Segment = {
        sequences,
        prefix: new PromptPrefix(prefixCache, sequences),
        tokens,
        start,
        lastQueries: new Float32Array(window * querySize),
        allQueries: sequences.some(({ policy }) => policy !== null && keepsQueries(policy.needs))
          ? new Float32Array(tokens.length * querySize)
          : null,
        chunkSums: forward.rehearsalOnCrew !== null && sequences.some(({ policy }) => policy?.needs.chunkScores)
          ? new Float32Array(tokens.length * queryHeadCount * 2)
          : null,
        sums: sequences.some(({ policy }) => policy?.needs.attentionSums)
          ? Array.from({ length: kvHeadCount }, () => new Float32Array(tokens.length))
          : null,
      };
      start += tokens.length;
      return segment;
    });
    this.rows = start;
    const prompts = this.#segments.map(({ start, tokens: { length }, prefix: { rows: cachedRows } }) => ({
      start,
      length,
      cachedRows,
    }));
    this.#tiles = tilesOf(prompts, TILE_ROWS);
    this.#hidden = runtime.floats(start * hiddenSize);
    this.#keys = runtime.floats(start * kvHeadCount * headSize);
    this.#values = runtime.floats(start * kvHeadCount * headSize);
  }

  get sequences(): Sequence[] {
    return this.#segments.flatMap(({ sequences }) => sequences);
  }

  /** Layers that all of its prompts have passed. */
  get layersRead(): number {
    return this.#layer;
  }

  /** Whether all of its prompts stand behind the same layer. */
  get isBetweenLayers(): boolean {
    return this.#tile === 0;
  }

  /** The part of its work that is done, from 0 to 1. */
  get share(): number {
    const { length } = this.#tiles;
    return (this.#layer * length + this.#tile) / (this.forward.config.layerCount * length);
  }

  get isDone(): boolean {
    return this.#layer === this.forward.config.layerCount || this.sequences.every(({ isFinished }) => isFinished);
  }

  /**
   * Computes the next tile.
   *
   * @param onLayer told of each sequence's rows of a layer that has become complete
   */
  runTile(onLayer: (sequence: Sequence, layer: number, rows: LayerToScore) => void): void {
    const { forward } = this;
    const { hiddenSize } = forward.config;
    const layer = this.#layer;
    if (this.#tile === 0) {
      for (const segment of this.#segments) {
        segment.prefix.restore(layer, this.#rowsOf(segment));
      }
    }
    const { first, count } = this.#tiles[this.#tile++];
    if (layer === 0) this.#embed(first, count);
    const hidden = this.#hidden.address + first * hiddenSize * 4;
    forward.before(layer, hidden, count);
    for (const segment of this.#segments) {
      const begin = Math.max(first, segment.start);
      const end = Math.min(first + count, segment.start + segment.tokens.length);
      if (begin >= end) continue;
      this.#store(segment, layer, first, begin, end);
      const attended = forward.attendTile(
        begin - first,
        end - begin,
        begin - segment.start + 1,
        (head) => this.#keys.address + this.#element(head, segment.start) * 4,
        (head) => this.#values.address + this.#element(head, segment.start) * 4,
      );
      this.#sumAttention(segment, attended);
      const sums = 2 * forward.config.queryHeadCount;
      segment.chunkSums?.set(
        forward.chunkSums.values.subarray((begin - first) * sums, (end - first) * sums),
        (begin - segment.start) * sums,
      );
    }
    forward.after(layer, hidden, count);
    if (this.#tile < this.#tiles.length) return;
    this.#tile = 0;
    this.#layer++;
    for (const segment of this.#segments) {
      segment.prefix.store(layer, this.#rowsOf(segment));
      for (const sequence of segment.sequences) {
        if (!sequence.isFinished) onLayer(sequence, layer, this.#layerOf(segment, sequence, layer));
      }
    }
  }

  /** The hidden state of the last row of a sequence's prompt, `[hiddenSize]`. The pack must be done. */
  lastHidden(sequence: Sequence): Float32Array {
    return this.hiddenOf(sequence).subarray(-this.forward.config.hiddenSize);
  }

  /** The hidden states of a sequence's prompt, `[rows, hiddenSize]`; of rows that were cached, nothing. The pack must be done. */
  hiddenOf(sequence: Sequence): Float32Array {
    const { hiddenSize } = this.forward.config;
    const { start, tokens } = this.#segments.find(({ sequences }) => sequences.includes(sequence))!;
    return this.#hidden.values.subarray(start * hiddenSize, (start + tokens.length) * hiddenSize);
  }

  /** Gives the memory back, and lets others find the prompts that have been read to their ends. */
  free(): void {
    for (const { prefix } of this.#segments) prefix.end(this.#layer === this.forward.config.layerCount);
    for (const floats of [this.#hidden, this.#keys, this.#values]) this.forward.runtime.free(floats);
  }

  #embed(first: number, count: number): void {
    const { hiddenSize } = this.forward.config;
    for (const { tokens, start } of this.#segments) {
      const end = Math.min(first + count, start + tokens.length);
      for (let row = Math.max(first, start); row < end; row++) {
        this.forward.products.embed(tokens[row - start], this.#hidden.values, row * hiddenSize);
      }
    }
  }

  /** Rotates the rows `begin` to `end` of the pack, in the tile from `first` on, and keeps their keys, values and queries. */
  #store(
    { start, tokens, lastQueries, allQueries }: Segment,
    layer: number,
    first: number,
    begin: number,
    end: number,
  ): void {
    const { forward } = this;
    const { config: { kvHeadCount, headSize }, querySize, queryKeyValueSize } = forward;
    const { values: rows } = forward.queryKeyValue;
    const kvSize = kvHeadCount * headSize;
    const windowFrom = tokens.length - lastQueries.length / querySize;
    for (let row = begin; row < end; row++) {
      const position = row - start;
      const tileRow = row - first;
      forward.rotate(layer, tileRow, position);
      const at = tileRow * queryKeyValueSize;
      for (let head = 0; head < kvHeadCount; head++) {
        const to = this.#element(head, row);
        const key = at + querySize + head * headSize;
        for (let i = 0; i < headSize; i++) {
          this.#keys.values[to + i] = rows[key + i];
          this.#values.values[to + i] = rows[key + kvSize + i];
        }
      }
      const queries = rows.subarray(at, at + querySize);
      if (position >= windowFrom) lastQueries.set(queries, (position - windowFrom) * querySize);
      allQueries?.set(queries, position * querySize);
    }
  }

  #sumAttention({ sums, tokens }: Segment, attended: AttendedRows): void {
    sums?.forEach((own, head) => {
      if (attended.seen === 1) own.fill(0);
      const means = this.forward.meanAttention(attended, head);
      const weight = attended.count / tokens.length;
      means.values.forEach((mean, row) => own[row] += mean * weight);
      this.forward.runtime.free(means);
    });
  }

  /** The keys and values of a prompt in the layer at hand. */
  #rowsOf({ start, tokens: { length } }: Segment): SourceRows {
    const { headSize } = this.forward.config;
    const head = (source: HeapFloats) => (head: number) => {
      const at = this.#element(head, start);
      return source.values.subarray(at, at + length * headSize);
    };
    return { keys: head(this.#keys), values: head(this.#values) };
  }

  #layerOf(segment: Segment, sequence: Sequence, layer: number): LayerToScore {
    const { start, tokens: { length }, prefix, lastQueries, allQueries, chunkSums, sums } = segment;
    return {
      ...this.#rowsOf(segment),
      index: layer,
      length,
      window: sequence.window,
      keyAddress: (head) => this.#keys.address + this.#element(head, start) * 4,
      lastQueries,
      allQueries,
      chunkSums,
      sums,
      knownScores: prefix.scoresOf(layer),
    };
  }

  #element(head: number, row: number): number {
    return (head * this.rows + row) * this.forward.config.headSize;
  }
}

/** Stores a layer of a prompt in a sequence: all of it, or what its policy keeps. */
export function storeLayer(forward: Forward, sequence: Sequence, layer: number, rows: LayerToScore): void {
  const { policy, cache, window } = sequence;
  const { kvHeadCount } = forward.config;
  const target = sequence.layers[layer];
  const { length } = rows;
  const none = Array.from({ length: kvHeadCount }, () => new Uint32Array());
  const recentBlocks = () => cache.table(layer).length - cache.rankedBlocks(layer);
  if (policy === null) {
    cache.appendRecent(layer, length);
    target.fill(rows, none, 0, length, recentBlocks());
    return;
  }
  const inHeap = new LayerRowsInHeap(forward, rows);
  if (policy.hostSteps.length > 0) {
    const { queryHeadCount } = forward.config;
    const context = { ...sequence.context, layer, queryHeadCount, scoredRows: inHeap.scored, rotary: forward.rotary };
    inHeap.host = { context, numbers: computeOnHost(inHeap, policy, context, rows.allQueries, forward.ropeTable[0]) };
  }
  const { scores, seen } = scoreLayer(inHeap, policy.score, policy);
  sequence.budgets.add(seen);
  const ranked = policy.provisionalRows(layer);
  cache.setRanked(layer, ranked);
  cache.appendRecent(layer, window);
  const best = scores.map((own) => bestRows(own, ranked));
  if (sequence.request.kvCache.report !== undefined) sequence.rankedPositions[layer] = best;
  target.fill(rows, best, length - window, window, recentBlocks());
  const carries = sequence.memory !== null && !sequence.forecast.eviction!.protection.leavesPrompt;
  if (carries && policy.needs.attentionSums && rows.sums !== null) {
    const { sums } = rows;
    sequence.memory!.sums[layer] = {
      ranked: best.map((indices, head) => Float32Array.from(indices, (row) => sums[head][row])),
      window: sums.map((own) => own.slice(length - window)),
    };
  }
  if (policy.isRebalanceDue(layer)) cutLayers(sequence, policy);
}

/** Cuts every layer scored so far to what the policy allots it. */
export function cutLayers({ cache, layers, budgets }: Sequence, policy: SequencePolicy): void {
  // The slots that a GPU would have to move lie elsewhere here: whole layers move.
  budgets.share(policy, cache);
  layers.forEach((rows, layer) => {
    if (rows.isEmpty) return;
    const heads = cache.headRows(layer, rows.kvHeadCount);
    rows.truncate(heads, cache.table(layer).length - cache.rankedBlocks(layer));
  });
}
