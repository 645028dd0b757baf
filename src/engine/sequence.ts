/** @file One generation on its way through the engine: waiting, prefilling, running, finished. */
import { blocksFor } from "../cache/block.ts";
import { rankedBudget } from "../cache/budgets.ts";
import type { AttentionStatistics } from "../scores/layer_record.ts";
import type { SequenceCache } from "../cache/sequence_cache.ts";
import { MAX_WINDOW } from "../scores/limits.ts";
import { adjustsLogits } from "../kernels/sampling/sampling_record.ts";
import type { BatchRow } from "../model/batch_state.ts";
import type { CarriedAttention } from "../compression/carried_attention.ts";
import type { QueryLog } from "../compression/query_log.ts";
import type { PolicyContext } from "../policy/context.ts";
import type { LayerScores, SequencePolicy } from "../policy/policy.ts";
import type { DecodeEviction } from "./eviction.ts";
import type { Continuation, GenerationRequest, KvCacheUsage, Resumption } from "../contract/generation.ts";

/** What a sequence has on the GPU from admission to its end. */
export interface Residence {
  readonly slot: number;
  readonly arena: number;
  readonly cache: SequenceCache;
  /** Blocks that were promised: the most that the sequence can come to hold. */
  readonly reservedBlocks: number;
}

export class Sequence implements BatchRow {
  /** Set at admission, cleared at the end. */
  residence: Residence | null = null;
  isFinished = false;
  /** Why the generation waits to be resumed; null while it does not. */
  pausedBy: "stop" | "length" | null = null;
  /** Tokens behind the prompt, given or drawn: recorded; of these read back; of these not surplus. */
  recorded = 0;
  taken = 0;
  accepted = 0;
  /** Tokens behind the prompt up to which they are given, and where the generation ends. */
  givenEnd = 0;
  end = 0;
  /** Tokens drawn since the prompt, or since the generation was resumed. */
  drawn = 0;
  #logitsFrom = Infinity;
  #given: { readonly start: number; readonly tokens: Uint32Array } = { start: 0, tokens: new Uint32Array() };
  #lastToken = 0;
  /** Scores read back so far, by layer: histograms, and those of heads, scores and statistics where the policy asks for them. */
  readonly histograms: Uint32Array[] = [];
  readonly headHistograms: Uint32Array[][] = [];
  readonly scores: Float32Array[] = [];
  readonly statistics: AttentionStatistics[] = [];
  readonly adjustsLogits: boolean;
  readonly topLogprobs: boolean;
  /** Set at admission where queries have to be kept, cleared at the end. */
  queryLog: QueryLog | null = null;
  /** The same where attention is summed. */
  carriedAttention: CarriedAttention | null = null;

  constructor(
    readonly id: number,
    readonly request: GenerationRequest,
    readonly context: PolicyContext,
    /** `null` keeps every row. */
    readonly policy: SequencePolicy | null,
    /** `null` keeps every row generated. */
    readonly eviction: DecodeEviction | null,
    /** Most blocks that the sequence can come to hold. */
    readonly projectedBlocks: number,
  ) {
    this.adjustsLogits = adjustsLogits(request.sampling);
    this.topLogprobs = (request.topLogprobs ?? 0) > 0;
    this.#goOn(request.continuation ?? { tokens: new Uint32Array() }, 0, request.maxTokens);
  }

  get slot(): number {
    return this.#resident.slot;
  }

  get arena(): number {
    return this.#resident.arena;
  }

  get cache(): SequenceCache {
    return this.#resident.cache;
  }

  get rankedRows(): Uint32Array {
    return this.cache.rankedRows;
  }

  get packedBlocks(): Uint32Array {
    return this.cache.packedBlocks;
  }

  get recentRows(): Uint32Array {
    return this.cache.recentRows;
  }

  /** Position of the last recorded token, which the next step feeds; of the prompt's last token at first. */
  get position(): number {
    return this.request.prompt.length + this.recorded - 1;
  }

  /** Tokens that may still be recorded. */
  get remaining(): number {
    return this.end - this.recorded;
  }

  get forcedTokens(): number {
    return Math.max(0, this.givenEnd - this.recorded);
  }

  /** Whether step `step` of a submit, whose first step records the next token, computes logits that are to be reported. */
  reportsLogits(step: number): boolean {
    const token = this.recorded + step;
    return token >= this.#logitsFrom && token < this.givenEnd;
  }

  /** Whether any of the tokens that are still to be recorded is reported with its logits. */
  get willReportLogits(): boolean {
    return this.givenEnd > Math.max(this.recorded, this.#logitsFrom);
  }

  /** Counts tokens that were drawn, `ids`, in whose place the first `given` ones were given. */
  accept(given: number, ids: readonly number[]): void {
    this.accepted += given + ids.length;
    this.drawn += ids.length;
    this.#lastToken = ids.at(-1) ?? this.#given.tokens[this.accepted - 1 - this.#given.start];
  }

  /** Takes a paused generation up again, with a cache that holds no row too many; says which token comes next, and where. */
  resume({ rewind, continuation, maxTokens }: Resumption): { position: number; token: number } {
    const kept = rewind ? 0 : this.accepted;
    // The token behind a prompt is not drawn again: the row that it is drawn from is not in the cache.
    const recorded = Math.max(1, kept);
    this.cache.dropRecent(this.recorded - recorded);
    this.recorded = this.taken = this.accepted = recorded;
    this.pausedBy = null;
    this.drawn = 0;
    const token = rewind ? continuation.tokens[0] : this.#lastToken;
    this.#goOn(continuation, kept, maxTokens);
    return { position: this.request.prompt.length + kept, token };
  }

  #goOn({ tokens, logitsFrom = Infinity }: Continuation, start: number, maxTokens: number): void {
    this.#given = { start, tokens };
    this.givenEnd = start + tokens.length;
    this.end = this.givenEnd + maxTokens;
    this.#logitsFrom = Math.max(1, start + logitsFrom);
  }

  /** Rows that have been generated so far: the last token's is not, until it is fed. */
  get generatedRows(): number {
    return this.recorded - 1;
  }

  /** Steps that may be recorded before rows are to be evicted. */
  get stepsToEviction(): number {
    if (this.eviction === null) return Infinity;
    const { interval } = this.eviction;
    return interval - this.generatedRows % interval;
  }

  /** Whether an interval is over, with more tokens to come, and some layer holds more than its share of the budget. */
  get isEvictionDue(): boolean {
    if (this.eviction === null || this.remaining <= 0 || this.generatedRows % this.eviction.interval !== 0) {
      return false;
    }
    const { policy: { window } } = this.eviction;
    const kept = rankedBudget(this.context.budget, window) + window;
    return this.rankedRows.some((rows, layer) => rows + this.recentRows[layer] > kept);
  }

  /** Rows at the end of the prompt that are kept beside the ranked ones; 0 where nothing is ranked. */
  get window(): number {
    return this.policy?.window ?? 0;
  }

  /** Rows at the end of the prompt whose queries are needed to score the others, or for statistics. */
  get queryWindow(): number {
    if (this.policy === null) return 0;
    const { needs, attentionStatistics } = this.policy;
    return needs.windowQueries || attentionStatistics ? Math.min(this.window, MAX_WINDOW) : 0;
  }

  /** Drops the scores that have been read back, once rows have been shared by them for good. */
  forgetScores(): void {
    this.histograms.length = 0;
    this.headHistograms.length = 0;
    this.scores.length = 0;
    this.statistics.length = 0;
  }

  /** What the prompt's rows came to, once every layer has been compressed; rows generated since do not count. */
  prefilledUsage(): KvCacheUsage {
    const { promptLength: promptRows, layerCount } = this.context;
    const { blockBytes } = this.cache.pool;
    const ranked = Array.from({ length: layerCount }, (_, layer) => this.#rankedByHead(layer));
    // A compressed layer keeps its window beside the ranked rows, any other the whole prompt.
    const recent = this.policy === null ? promptRows : this.window;
    return {
      policy: this.request.kvCache.policy,
      promptRows,
      rowsPerLayer: ranked.map((heads) => heads.reduce((sum, rows) => sum + rows) / heads.length + recent),
      rowsPerHead: this.policy?.perHead ? ranked.map((heads) => heads.map((rows) => rows + recent)) : undefined,
      bytes: ranked.reduce((sum, _, layer) => sum + this.cache.rankedBlocks(layer) + blocksFor(recent), 0) * blockBytes,
      fullBytes: layerCount * blocksFor(promptRows) * blockBytes,
    };
  }

  /** The layers that have been scored so far, as a policy sees them. */
  layerScores({ perHead }: SequencePolicy): LayerScores[] {
    return this.histograms.map((histogram, layer) => ({
      histogram,
      headHistograms: this.headHistograms[layer],
      scores: this.scores[layer],
      statistics: this.statistics[layer],
      heldRows: this.rankedRows[layer],
      headRows: perHead ? Uint32Array.from(this.#rankedByHead(layer)) : undefined,
    }));
  }

  #rankedByHead(layer: number): number[] {
    const { rows } = this.cache.packedHeads(layer) ?? {};
    return rows ? Array.from(rows) : Array(this.context.kvHeadCount).fill(this.rankedRows[layer]);
  }

  get #resident(): Residence {
    if (this.residence === null) throw new Error(`Sequence ${this.id} has not been admitted, or has ended`);
    return this.residence;
  }
}
