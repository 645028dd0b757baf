/**
 * @file The CPU engine's loop: one decode step of everything that runs, then one tile of a prompt, then a look at the mail.
 *
 *     admit | decode step | prefill tile | messages | admit | ...
 *
 * Nothing runs ahead here as it does on a GPU: a token is known when its step is over, so an abort or an end takes effect before
 * the next step.
 */
import { setImmediate } from "node:timers";
import type { EngineStats } from "../contract/engine.ts";
import type { GeneratedToken, GenerationEvent, GenerationRequest, Resumption } from "../contract/generation.ts";
import type { BlockPool } from "../cache/block_pool.ts";
import type { Constraint } from "../engine/constraint.ts";
import { type Forecast, forecastRequest } from "../engine/forecast.ts";
import type { DecodeEviction } from "../engine/eviction.ts";
import type { Fallback } from "../engine/sequence.ts";
import { type Guidance, type Guides, type GuidesMaker, NO_GUIDANCE } from "../engine/guides.ts";
import { keptPositions } from "../engine/kept_positions.ts";
import { isToldReading, kvCacheUsage } from "../engine/kv_cache_usage.ts";
import { readingEvent } from "../engine/reading_event.ts";
import { withoutStops } from "../engine/token_masks.ts";
import { WaitingLine } from "../engine/waiting_line.ts";
import { Admission } from "./admission.ts";
import type { PrefixCache } from "./cache/prefix_cache.ts";
import { decodeMemory, evict } from "./eviction.ts";
import { usesBias } from "../kernels/sampling/sampling_record.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import type { Forward } from "./forward.ts";
import type { LayerToScore } from "./layer_scoring.ts";
import { poolRows } from "./pool_rows.ts";
import { groupByPrompt, PromptPack, storeLayer } from "./prompt_pack.ts";
import type { HeapFloats } from "./runtime/onnxruntime.ts";
import { adjustLogits } from "./sampling/penalties.ts";
import { maskLogits } from "./sampling/token_mask.ts";
import { draw } from "./sampling/draw.ts";
import { withLogprobs } from "./sampling/top_logprobs.ts";
import { Sequence } from "./sequence.ts";

/** Prompts are packed up to this many rows, or one of any length. */
const PACK_ROWS = 1024;
/** Packs that take turns. */
const MOST_PACKS = 4;

/** A sequence's news, in order. */
export type Emit = (id: number, event: GenerationEvent) => void;

export class Scheduler {
  readonly pool: BlockPool;
  readonly #admission: Admission;
  readonly #sequences = new Map<number, Sequence>();
  readonly #guides: Guides;
  /** Those that cannot wait for admission yet, as it is not known which tokens may come first. */
  readonly #asking = new Set<Sequence>();
  readonly #waiting = new WaitingLine<Sequence>();
  #running: Sequence[] = [];
  /** Prompts being prefilled; they take turns, the first one is next. */
  #packs: PromptPack[] = [];
  /** Hidden states of a decode step, `[maxBatch, hiddenSize]`. */
  readonly #hidden: HeapFloats;
  #wake: () => void = () => {};
  #isClosed = false;
  readonly #counts = {
    promptTokens: 0,
    generatedTokens: 0,
    decodeSteps: 0,
    rebalances: 0,
    rebalanceSeconds: 0,
    decodeEvictions: 0,
    prefixQueries: 0,
    prefixHits: 0,
    policyFallbacks: {} as Record<string, number>,
  };
  readonly #evictedRows: number[];

  /** @param log takes a line for people: a policy that failed */
  constructor(
    readonly forward: Forward,
    readonly prefixCache: PrefixCache,
    readonly maxBatch: number,
    readonly policies: PolicyRegistry,
    readonly emit: Emit,
    readonly log: (message: string) => void,
    makeGuides: GuidesMaker = NO_GUIDANCE,
  ) {
    this.#guides = makeGuides((guidance) => this.#guide(guidance));
    const { config: { layerCount, hiddenSize }, runtime } = forward;
    const { index } = prefixCache;
    this.pool = index.pool;
    this.#admission = new Admission(forward, index, maxBatch);
    this.#hidden = runtime.floats(maxBatch * hiddenSize);
    this.#evictedRows = new Array(layerCount).fill(0);
  }

  /** Queues a sequence. */
  add(id: number, request: GenerationRequest): void {
    const { config } = this.forward;
    const { policy } = request.kvCache;
    const { policyFallbacks } = this.#counts;
    const fallback: Fallback = { reason: undefined };
    let forecast: Forecast;
    try {
      forecast = forecastRequest(request, config, this.policies, (reason) => {
        policyFallbacks[policy] = (policyFallbacks[policy] ?? 0) + 1;
        fallback.reason ??= reason;
        this.log(`KV cache policy ${policy} failed, uniform budgets take its place: ${reason}`);
      });
    } catch (error) {
      // The client has asked the same before: the policy has changed since, or does not always say the same.
      return this.emit(id, { type: "failed", message: (error as Error).message });
    }
    if (forecast.blocks > this.pool.largestArena) {
      return this.emit(id, {
        type: "failed",
        message: `The KV cache policy ${policy} asks for more memory than there is`,
      });
    }
    const sequence = new Sequence(id, request, forecast, fallback, config.vocabularySize);
    this.#sequences.set(id, sequence);
    if (sequence.constraint?.needsGuidance) {
      this.#asking.add(sequence);
      this.#beginGuidance(sequence);
    } else this.#waiting.add(sequence);
    this.#wake();
  }

  /** Ends a sequence wherever it is; unknown ids have ended already. */
  abort(id: number): void {
    const sequence = this.#sequences.get(id);
    if (sequence !== undefined) this.#finish(sequence, "aborted");
  }

  /** Lets a paused sequence go on; of one that has ended, nothing is left. */
  resume(id: number, resumption: Resumption): void {
    const sequence = this.#sequences.get(id);
    if (sequence === undefined || sequence.pausedBy === null) return;
    sequence.resume(resumption);
    if (sequence.remaining <= 0) return this.#finish(sequence, "length");
    this.#running.push(sequence);
    this.#wake();
  }

  stats(): EngineStats {
    const { pool, forward, prefixCache } = this;
    return {
      ...this.#counts,
      policyFallbacks: { ...this.#counts.policyFallbacks },
      // Of kernels, of which there are none here.
      unusableScores: {},
      running: this.#admission.residentCount,
      waiting: this.#waiting.length + this.#asking.size,
      submits: 0,
      dispatches: forward.runtime.runs + (forward.products.crew?.jobs ?? 0),
      encodeSeconds: 0,
      buffersCreated: 0,
      bindGroupsCreated: 0,
      blocksTotal: pool.totalBlocks,
      blocksUsed: pool.usedBlocks,
      blocksPeak: pool.peakBlocks,
      blocksUsedPerLayer: Array.from(pool.usedPerLayer),
      blocksCached: prefixCache.index.keptBlocks,
      blockBytes: pool.blockBytes,
      evictedRowsPerLayer: [...this.#evictedRows],
      gpuBytes: 0,
    };
  }

  /** Ends the loop after the present turn. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  /** Runs until {@link close}. */
  async run(): Promise<void> {
    while (!this.#isClosed) {
      this.#admit();
      const worked = this.#decode() || this.#packs.length > 0;
      this.#prefill();
      if (!worked) await new Promise<void>((resolve) => this.#wake = resolve);
      // Messages are let in between two turns.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    this.#guides.close();
  }

  /** Lets waiting sequences in, by priority and then first come first served, and packs their prompts. */
  #admit(): void {
    while (this.#waiting.length > 0 && this.#packs.length < MOST_PACKS) {
      const admitted: Sequence[] = [];
      let groups: Sequence[][] = [];
      for (let sequence = this.#waiting.first; sequence !== undefined; sequence = this.#waiting.first) {
        const wider = groupByPrompt([...admitted, sequence]);
        const rows = wider.reduce((sum, [{ request }]) => sum + request.prompt.length, 0);
        if ((rows > PACK_ROWS && admitted.length > 0) || !this.#admission.tryAdmit(sequence)) break;
        this.#waiting.remove(sequence);
        sequence.memory = decodeMemory(this.forward, sequence);
        admitted.push(sequence);
        groups = wider;
      }
      if (admitted.length === 0) return;
      this.#packs.push(new PromptPack(this.forward, this.prefixCache, groups));
    }
  }

  /** Computes the next tile of the pack whose turn it is. */
  #prefill(): void {
    const pack = this.#packs.shift();
    if (pack === undefined) return;
    if (!pack.isDone) {
      pack.runTile((sequence, layer, rows) => this.#store(sequence, layer, rows));
      this.#tellReading(pack);
    }
    if (!pack.isDone) {
      this.#packs.push(pack);
      return;
    }
    const { hiddenSize } = this.forward.config;
    for (const sequence of pack.sequences) this.#embed(sequence, pack);
    const sequences = pack.sequences.filter(({ isFinished }) => !isFinished);
    sequences.forEach((sequence, row) => this.#hidden.values.set(pack.lastHidden(sequence), row * hiddenSize));
    pack.free();
    for (const sequence of sequences) this.#reportPrompt(sequence);
    this.#drawTokens(sequences);
    this.#running.push(...sequences.filter(({ isFinished, pausedBy }) => !isFinished && pausedBy === null));
  }

  /** Ends a sequence of which only its prompt's vector was asked. */
  #embed(sequence: Sequence, pack: PromptPack): void {
    const { id, isFinished, request: { embed } } = sequence;
    if (isFinished || embed === undefined) return;
    this.#reportPrompt(sequence);
    const { products: { outputNorm }, config: { rmsNormEpsilon } } = this.forward;
    const values = poolRows(pack.hiddenOf(sequence), outputNorm, rmsNormEpsilon, embed);
    this.emit(id, { type: "embedding", values });
    this.#finish(sequence, "length");
  }

  #store(sequence: Sequence, layer: number, rows: LayerToScore): void {
    const begun = performance.now();
    storeLayer(this.forward, sequence, layer, rows);
    if (sequence.policy?.isRebalanceDue(layer)) {
      this.#counts.rebalances++;
      this.#counts.rebalanceSeconds += (performance.now() - begun) / 1000;
    }
  }

  /** A pack has been read further: tells those that want to know; of positions, whenever a layer is complete. */
  #tellReading(pack: PromptPack): void {
    for (const sequence of pack.sequences) {
      const { id, isFinished, request, rankedPositions } = sequence;
      const tellsPositions = request.kvCache.report !== undefined;
      if (isFinished || !isToldReading(request) || (tellsPositions && !pack.isBetweenLayers)) continue;
      this.emit(
        id,
        readingEvent(sequence, pack, tellsPositions ? (layer, head) => rankedPositions[layer][head] : null),
      );
    }
  }

  /** The prompt is in the cache for good: says so. */
  #reportPrompt(sequence: Sequence): void {
    this.#counts.promptTokens += sequence.request.prompt.length;
    if (this.prefixCache.index.isOn) {
      this.#counts.prefixQueries += sequence.request.prompt.length;
      this.#counts.prefixHits += sequence.cachedRows;
    }
    const { rankedPositions, request: { kvCache: { report } } } = sequence;
    const positions = report && keptPositions(sequence, (layer, head) => rankedPositions[layer][head]);
    rankedPositions.length = 0;
    const kvCache = kvCacheUsage(sequence, positions);
    kvCache.rowsPerLayer.forEach((rows, layer) => this.#evictedRows[layer] += kvCache.promptRows - rows);
    sequence.budgets.forget();
    const { cachedRows: cachedTokens, waitedSeconds } = sequence;
    this.emit(sequence.id, { type: "prefilled", kvCache, cachedTokens, waitedSeconds });
  }

  /** One step of all that can take one. @returns whether there was anything to do */
  #decode(): boolean {
    const batch = this.#running.filter(({ isReady }) => isReady);
    if (batch.length === 0) return false;
    const { forward } = this;
    const { config: { layerCount, hiddenSize }, querySize, queryKeyValueSize } = forward;
    batch.forEach((sequence, row) => {
      forward.products.embed(sequence.lastToken, this.#hidden.values, row * hiddenSize);
      sequence.cache.reserveRecent(1);
    });
    const { values: rows } = forward.queryKeyValue;
    for (let layer = 0; layer < layerCount; layer++) {
      forward.before(layer, this.#hidden.address, batch.length);
      batch.forEach((sequence, row) => {
        const { cache, position } = sequence;
        const cached = sequence.layers[layer];
        forward.rotate(layer, row, position);
        const at = row * queryKeyValueSize;
        const keys = at + querySize;
        cached.reserve(cache.table(layer).length - cache.rankedBlocks(layer));
        cached.append(rows, keys, rows, keys + (queryKeyValueSize - querySize) / 2);
        cache.appendRecent(layer, 1);
        sequence.memory?.keepQueries(layer, position, rows.subarray(at, at + querySize));
      });
      forward.attendRows(batch.map(({ layers }) => layers[layer]));
      forward.after(layer, this.#hidden.address, batch.length);
    }
    this.#counts.decodeSteps++;
    this.#drawTokens(batch);
    for (const sequence of batch) if (sequence.asked === null) this.#evictIfDue(sequence);
    return true;
  }

  #evictIfDue(sequence: Sequence): void {
    const { isFinished, pausedBy, forecast: { eviction }, context } = sequence;
    if (isFinished || pausedBy !== null || eviction === null) return;
    if (eviction.isDue(sequence, sequence.cache, context.budget)) this.#evict(sequence, eviction);
  }

  /** Draws the next tokens of sequences whose hidden states are in place, and takes them in. */
  #drawTokens(batch: readonly Sequence[]): void {
    if (batch.length === 0) return;
    const { forward } = this;
    const { vocabularySize } = forward.config;
    forward.computeLogits(this.#hidden.address, batch.length);
    batch.forEach((sequence, row) => {
      const logits = forward.logits.values.subarray(row * vocabularySize, (row + 1) * vocabularySize);
      this.#receive(sequence, logits);
    });
  }

  #receive(sequence: Sequence, logits: Float32Array): void {
    const { id, request: { sampling, topLogprobs, stopTokens }, counts, position } = sequence;
    if (sequence.accepted === sequence.end) return this.#finish(sequence, "length");
    if (sequence.reportsLogits) this.emit(id, { type: "logits", logits: [logits.slice()] });
    const isAdjusted = counts !== null || usesBias(sampling);
    const adjusted = isAdjusted ? adjustLogits(logits, sampling, counts) : logits;
    const allowed = sequence.constraint?.mask ?? null;
    const mask = sequence.mayEnd ? allowed : withoutStops(allowed, stopTokens, logits.length);
    const drawn = draw(mask === null ? adjusted : maskLogits(adjusted, mask), sampling, position);
    const token = topLogprobs === undefined ? { id: drawn } : withLogprobs(drawn, logits, topLogprobs);
    if (sequence.constraint === null) this.#accept(sequence, token);
    else this.#acceptBound(sequence, sequence.constraint, token);
  }

  #accept(sequence: Sequence, token: GeneratedToken): void {
    const { id, request: { stopTokens } } = sequence;
    if (sequence.accept(token.id)) {
      this.#counts.generatedTokens++;
      this.emit(id, { type: "tokens", tokens: [token] });
      if (stopTokens.includes(token.id)) return this.#finish(sequence, "stop");
    }
    if (sequence.remaining <= 0) this.#finish(sequence, "length");
  }

  #acceptBound(sequence: Sequence, constraint: Constraint, token: GeneratedToken): void {
    const { id, request: { stopTokens } } = sequence;
    if (!stopTokens.includes(token.id) && constraint.take([token.id]) === "ask") {
      constraint.isReady = false;
      sequence.asked = token;
      return this.#guides.send({ type: "advance", id, token: token.id });
    }
    this.#accept(sequence, token);
    if (sequence.isFinished || !constraint.needsGuidance) return;
    constraint.isReady = false;
    this.#beginGuidance(sequence);
  }

  /** Takes in what may follow a token of a sequence, if it has not ended meanwhile. */
  #guide(guidance: Guidance): void {
    const sequence = this.#sequences.get(guidance.id);
    if (sequence === undefined) return;
    this.#wake();
    if (guidance.type === "failed") return this.#end(sequence, { type: "failed", message: guidance.message });
    const { asked } = sequence;
    const { replacement, mask, isCut } = guidance;
    if (isCut) return this.#finish(sequence, "length");
    if (asked !== null) {
      sequence.asked = null;
      this.#accept(sequence, replacement === null ? asked : { id: replacement });
      this.#evictIfDue(sequence);
      if (sequence.isFinished) return;
    }
    // The text is over, and no token has to say so.
    if (mask === null) return this.#finish(sequence, "stop");
    sequence.constraint!.guide(mask);
    if (this.#asking.delete(sequence)) this.#waiting.add(sequence);
  }

  #beginGuidance({ id, request: { stopTokens }, constraint, remaining }: Sequence): void {
    this.#guides.send({ type: "begin", id, grammar: constraint!.grammar, stopTokens, remaining });
  }

  #evict(sequence: Sequence, eviction: DecodeEviction): void {
    const begun = performance.now();
    const held = evict(this.forward, sequence, eviction);
    const rowsPerLayer = sequence.cache.rowsPerLayer(sequence.context.kvHeadCount);
    rowsPerLayer.forEach((rows, layer) => this.#evictedRows[layer] += Math.round(held[layer] - rows));
    this.#counts.decodeEvictions++;
    this.#counts.rebalances++;
    this.#counts.rebalanceSeconds += (performance.now() - begun) / 1000;
    this.emit(sequence.id, {
      type: "evicted",
      rowsPerLayer,
      ...sequence.fallback.reason !== undefined && { fallback: sequence.fallback.reason },
    });
  }

  /** Lets the rows of a sequence that has ended be found, where it has all of them: a conversation may go on. */
  #keepPrefix(sequence: Sequence): void {
    const { request: { prompt, cacheSalt }, keepsRows, acceptedTokens } = sequence;
    if (!keepsRows || acceptedTokens.length === 0) return;
    const all = Uint32Array.from([...prompt, ...acceptedTokens.slice(0, -1)]);
    const draft = this.prefixCache.draft(all, cacheSalt);
    if (draft === null) return;
    sequence.layers.forEach((rows, layer) => this.prefixCache.store(draft, layer, rows.source));
    draft.commit();
  }

  #finish(sequence: Sequence, reason: "stop" | "length" | "aborted"): void {
    this.#running = this.#running.filter((other) => other !== sequence);
    if (reason !== "aborted" && sequence.request.resumableTokens !== undefined) {
      sequence.pausedBy = reason;
      this.emit(sequence.id, { type: "paused", reason, completionTokens: sequence.drawn });
      return;
    }
    this.#end(sequence, { type: "finished", reason, completionTokens: sequence.drawn });
  }

  #end(sequence: Sequence, event: GenerationEvent): void {
    sequence.isFinished = true;
    this.#running = this.#running.filter((other) => other !== sequence);
    this.#sequences.delete(sequence.id);
    this.#asking.delete(sequence);
    this.#waiting.remove(sequence);
    this.#keepPrefix(sequence);
    this.#admission.release(sequence);
    if (sequence.request.grammar !== undefined) this.#guides.send({ type: "end", id: sequence.id });
    this.emit(sequence.id, event);
  }
}
