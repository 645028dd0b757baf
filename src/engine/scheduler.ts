/**
 * @file Which sequences wait, run, pause and have ended, and the news of each. What is computed for them, and on what, is not
 * known here.
 *
 *     add() (asking for the first tokens that may come) waiting | admit() being prefilled | prefilled() running | finished
 *                                                           |  ^
 *                          standStill() evicting, evicted() |  | paused, resume()
 */
import type { PrefixIndex } from "../cache/prefix_index.ts";
import type { GeneratedToken, GenerationEvent, GenerationRequest, Resumption } from "../contract/generation.ts";
import type { PolicyRegistry } from "../policy/registry.ts";
import { Admission } from "./admission.ts";
import { Counters } from "./counters.ts";
import { type CacheShape, type Forecast, forecastRequest } from "./forecast.ts";
import { type Correction, GuidedDecoding } from "./guided_decoding.ts";
import type { Guidance, Guides } from "./guides.ts";
import { keptPositions, type RankedPositions } from "./kept_positions.ts";
import { isToldReading, kvCacheUsage } from "./kv_cache_usage.ts";
import { groupByPrompt } from "./prompt_groups.ts";
import { readingEvent } from "./reading_event.ts";
import { type Fallback, Sequence } from "./sequence.ts";
import type { ResumedToken } from "./token_progress.ts";
import type { Turn } from "./turn.ts";
import { UnusableScores } from "./unusable_scores.ts";
import { WaitingLine } from "./waiting_line.ts";

/** A sequence's news, in order. */
export type Emit = (id: number, event: GenerationEvent) => void;

export class Scheduler {
  readonly counters: Counters;
  readonly #admission: Admission;
  readonly #sequences = new Map<number, Sequence>();
  readonly #guidance: GuidedDecoding;
  readonly #unusable: UnusableScores;
  readonly #waiting = new WaitingLine<Sequence>();
  #running: Sequence[] = [];

  /**
   * @param prefixIndex of the pool that sequences get their blocks from
   * @param slots sequences that can be resident at once
   * @param log takes a line for people: a policy that failed
   */
  constructor(
    readonly shape: CacheShape,
    readonly policies: PolicyRegistry,
    readonly prefixIndex: PrefixIndex,
    slots: number,
    readonly emit: Emit,
    readonly log: (message: string) => void,
    guides: Guides,
  ) {
    this.counters = new Counters(shape.layerCount);
    this.#unusable = new UnusableScores(log);
    this.#admission = new Admission(prefixIndex, shape.layerCount, slots);
    this.#guidance = new GuidedDecoding(guides, {
      queue: (sequence) => this.#waiting.add(sequence),
      accept: (sequence, tokens) => this.#accept(sequence, tokens),
      stop: (sequence) => this.#finish(sequence, "stop"),
      cut: (sequence) => this.#finish(sequence, "length"),
      fail: (sequence, message) => this.#end(sequence, { type: "failed", message }),
    });
  }

  /** Sequences that have been let in and have not ended. */
  get residentCount(): number {
    return this.#admission.residentCount;
  }

  get waitingCount(): number {
    return this.#waiting.length + this.#guidance.askingCount;
  }

  /** The prompt of the sequence that is let in next, if any waits. */
  get nextPrompt(): Uint32Array | undefined {
    return this.#waiting.first?.request.prompt;
  }

  /** Those whose next step can be recorded: first those that run ahead, neighbours where they share an arena. */
  get batch(): Sequence[] {
    return this.#running.filter(({ isReady }) => isReady).sort((a, b) =>
      Number(b.runsAhead) - Number(a.runsAhead) || a.residence.cache.arena - b.residence.cache.arena
    );
  }

  /** Queues a sequence. */
  add(id: number, request: GenerationRequest): void {
    const { counters: { policyFallbacks } } = this;
    const { kvCache: { policy } } = request;
    const fallback: Fallback = { reason: undefined };
    let forecast: Forecast;
    try {
      forecast = forecastRequest(request, this.shape, this.policies, (reason) => {
        policyFallbacks[policy] = (policyFallbacks[policy] ?? 0) + 1;
        fallback.reason ??= reason;
        this.log(`KV cache policy ${policy} failed, uniform budgets take its place: ${reason}`);
      });
    } catch (error) {
      // The client has asked the same before: the policy has changed since, or does not always say the same.
      return this.emit(id, { type: "failed", message: (error as Error).message });
    }
    if (forecast.blocks > this.prefixIndex.pool.largestArena) {
      return this.emit(id, {
        type: "failed",
        message: `The KV cache policy ${policy} asks for more memory than there is`,
      });
    }
    const sequence = new Sequence(id, request, forecast, fallback);
    this.#sequences.set(id, sequence);
    if (sequence.constraint?.needsGuidance) this.#guidance.ask(sequence);
    else this.#waiting.add(sequence);
  }

  /** Ends a sequence wherever it is; unknown ids have ended already. */
  abort(id: number): void {
    const sequence = this.#sequences.get(id);
    if (sequence !== undefined) this.#finish(sequence, "aborted");
  }

  /**
   * Lets a paused sequence go on; of one that has ended, nothing is left.
   *
   * @returns what the sequence in a slot is fed next, before its next step is recorded; `null` if it does not go on
   */
  resume(id: number, resumption: Resumption): ResumedToken & { readonly slot: number } | null {
    const sequence = this.#sequences.get(id);
    if (sequence === undefined || sequence.tokens.pausedBy === null) return null;
    const { slot, cache } = sequence.residence;
    const resumed = sequence.tokens.resume(resumption);
    cache.dropRecent(resumed.surplusRows);
    if (sequence.tokens.remaining === 0) this.#finish(sequence, "length");
    else this.#running.push(sequence);
    return { slot, ...resumed };
  }

  /**
   * Lets waiting sequences in, by priority and then first come first served, whose prompts, equal ones counted once, are at most
   * `prompts` and have at most `rows` rows together.
   *
   * @returns them, grouped by prompt
   */
  admit(rows: number, prompts: number): Sequence[][] {
    const admitted: Sequence[] = [];
    let groups: Sequence[][] = [];
    for (let sequence = this.#waiting.first; sequence !== undefined; sequence = this.#waiting.first) {
      const wider = groupByPrompt([...admitted, sequence]);
      const needed = wider.reduce((sum, [{ request }]) => sum + request.prompt.length, 0);
      if (needed > rows || wider.length > prompts || !this.#admission.tryAdmit(sequence)) break;
      this.#waiting.remove(sequence);
      admitted.push(sequence);
      groups = wider;
    }
    return groups;
  }

  /** Prompts have been recorded to their ends: where nothing is compressed, row counts are final, so decoding can go on at once. */
  prefillRecorded(sequences: readonly Sequence[]): void {
    this.#running.push(...sequences.filter(({ policy }) => policy === null));
  }

  /** Prompts have been read further: tells those that want to know what their layers keep for now. */
  reading({ sequences, ...progress }: Turn["reading"]): void {
    for (const sequence of sequences) {
      const { isFinished, request } = sequence;
      if (isFinished || !isToldReading(request)) continue;
      const ranked = request.kvCache.report === undefined ? null : rankedPositions(sequence);
      this.emit(sequence.id, readingEvent(sequence, progress, ranked));
    }
  }

  /** The prompt is in the cache for good: says so, and lets decoding go on. */
  prefilled(sequence: Sequence): void {
    this.#reportPrompt(sequence);
    if (sequence.policy !== null) this.#running.push(sequence);
  }

  /** The prompt has come to a vector, `[hiddenSize]`, which was all that was asked. */
  embedded(sequence: Sequence, values: Float32Array): void {
    this.#reportPrompt(sequence);
    this.emit(sequence.id, { type: "embedding", values });
    this.#finish(sequence, "length");
  }

  #reportPrompt(sequence: Sequence): void {
    const kvCache = kvCacheUsage(sequence, this.#positions(sequence));
    if (sequence.unusableScores > 0) this.#unusable.log(sequence);
    this.counters.promptTokens += kvCache.promptRows;
    this.counters.countEvicted((layer) => kvCache.promptRows - kvCache.rowsPerLayer[layer]);
    const { cachedRows: cachedTokens, waitedSeconds } = sequence;
    if (this.prefixIndex.isOn) this.counters.countPrefix(kvCache.promptRows, cachedTokens);
    this.emit(sequence.id, { type: "prefilled", kvCache, cachedTokens, waitedSeconds });
    sequence.budgets.forget();
  }

  /** The positions of the rows that a sequence keeps of its prompt, if it is to tell them. */
  #positions(sequence: Sequence): Uint32Array[][] | undefined {
    if (sequence.request.kvCache.report === undefined) return undefined;
    const positions = keptPositions(sequence, rankedPositions(sequence));
    sequence.residence.positions = null;
    return positions;
  }

  /** Takes in tokens that have been read back, and reports those that count. */
  receive(sequence: Sequence, tokens: readonly GeneratedToken[]): void {
    const { constraint } = sequence;
    if (constraint === null) this.#accept(sequence, tokens);
    else this.#guidance.receive(sequence, constraint, tokens);
  }

  /** Takes in what may follow a token of a sequence, if it has not ended meanwhile. */
  guide(guidance: Guidance): void {
    const sequence = this.#sequences.get(guidance.id);
    if (sequence !== undefined) this.#guidance.take(sequence, guidance);
  }

  /** What the GPU has to be told before the next step is recorded; each is given once. */
  takeCorrections(): Correction[] {
    return this.#guidance.takeCorrections();
  }

  #accept(sequence: Sequence, tokens: readonly GeneratedToken[]): void {
    const { drawn, end } = sequence.tokens.take(tokens);
    if (sequence.tokens.pausedBy !== null) return this.#reportPause(sequence);
    this.counters.generatedTokens += drawn.length;
    if (drawn.length > 0) this.emit(sequence.id, { type: "tokens", tokens: drawn });
    if (end !== null) this.#finish(sequence, end);
  }

  /** Takes out of the batch those of it whose interval is over, until their rows have been evicted. */
  standStill(batch: readonly Sequence[]): Sequence[] {
    const due = batch.filter(({ eviction, tokens, residence, context }) =>
      eviction?.isDue(tokens, residence.cache, context.budget)
    );
    this.#running = this.#running.filter((sequence) => !due.includes(sequence));
    return due;
  }

  /**
   * Rows of a sequence have been evicted: says so, and lets decoding go on.
   *
   * @param heldRows of each layer, before
   */
  evicted(sequence: Sequence, heldRows: readonly number[]): void {
    const { rowsPerLayer } = sequence;
    sequence.budgets.forget();
    this.counters.countEvicted((layer) => Math.round(heldRows[layer] - rowsPerLayer[layer]));
    this.counters.decodeEvictions++;
    this.emit(sequence.id, {
      type: "evicted",
      rowsPerLayer,
      ...sequence.fallback.reason !== undefined && { fallback: sequence.fallback.reason },
    });
    this.#running.push(sequence);
  }

  /** Says that a sequence has paused, once nothing of it is computed any more. */
  #reportPause({ id, tokens: { pausedBy, isTaken, drawn } }: Sequence): void {
    if (!isTaken) return;
    this.emit(id, { type: "paused", reason: pausedBy!, completionTokens: drawn });
  }

  #finish(sequence: Sequence, reason: "stop" | "length" | "aborted"): void {
    this.#running = this.#running.filter((other) => other !== sequence);
    if (reason !== "aborted" && sequence.request.resumableTokens !== undefined) {
      sequence.tokens.pausedBy = reason;
      return this.#reportPause(sequence);
    }
    this.#end(sequence, { type: "finished", reason, completionTokens: sequence.tokens.drawn });
  }

  #end(sequence: Sequence, event: GenerationEvent): void {
    sequence.isFinished = true;
    this.#running = this.#running.filter((other) => other !== sequence);
    this.#sequences.delete(sequence.id);
    this.#waiting.remove(sequence);
    this.#admission.release(sequence);
    this.#guidance.end(sequence);
    this.emit(sequence.id, event);
  }
}

/** Positions of ranked rows, of the layers that have been read back. */
function rankedPositions({ residence: { positions } }: Sequence): RankedPositions {
  return (layer, head) => positions!.positions(layer, head);
}
