/** @file One generation on its way through the CPU engine: waiting, prefilling, running, finished. */
import { blocksFor } from "../cache/block.ts";
import { rankedBudget } from "../cache/budgets.ts";
import type { SequenceCache } from "../cache/sequence_cache.ts";
import type { Continuation, GenerationRequest, KvCacheUsage, Resumption } from "../contract/generation.ts";
import type { Projection } from "../engine/forecast.ts";
import { usesCounts } from "../kernels/sampling/sampling_record.ts";
import { promptCounts } from "../kernels/sampling/penalties.ts";
import type { LayerScores, SequencePolicy } from "../policy/policy.ts";
import type { LayerRows } from "./cache/layer_rows.ts";
import type { DecodeMemory } from "./decode_memory.ts";

/** What a sequence holds from admission to its end. */
export interface Residence {
  /** The books. */
  readonly cache: SequenceCache;
  /** The rows themselves, by layer. */
  readonly layers: readonly LayerRows[];
}

export class Sequence {
  /** Set at admission, cleared at the end. */
  residence: Residence | null = null;
  isFinished = false;
  /** Why the generation waits to be resumed; null while it does not. */
  pausedBy: "stop" | "length" | null = null;
  /** The token that the next step feeds. */
  lastToken = 0;
  /** Tokens behind the prompt, given or drawn; the last one is not in the cache yet. */
  accepted = 0;
  /** Tokens behind the prompt up to which they are given, and where the generation ends. */
  givenEnd = 0;
  end = 0;
  /** Tokens drawn since the prompt, or since the generation was resumed. */
  drawn = 0;
  #logitsFrom = Infinity;
  #given: { readonly start: number; readonly tokens: Uint32Array } = { start: 0, tokens: new Uint32Array() };
  /** `[vocabularySize]`, where penalties apply. */
  readonly counts: Uint32Array | null;
  /** Scores so far, by layer. */
  readonly scores: Omit<LayerScores, "heldRows" | "headRows">[] = [];
  /** Set at admission where rows are evicted while tokens are generated, cleared at the end. */
  memory: DecodeMemory | null = null;

  constructor(
    readonly id: number,
    readonly request: GenerationRequest,
    readonly projection: Projection,
    vocabularySize: number,
  ) {
    const { sampling, prompt } = request;
    this.counts = usesCounts(sampling) ? promptCounts(prompt, vocabularySize) : null;
    this.#goOn(request.continuation ?? { tokens: new Uint32Array() }, 0, request.maxTokens);
  }

  get policy(): SequencePolicy | null {
    return this.projection.policy;
  }

  get cache(): SequenceCache {
    return this.#resident.cache;
  }

  get layers(): readonly LayerRows[] {
    return this.#resident.layers;
  }

  /** Position of the last token, which the next step feeds; of the prompt's last token at first. */
  get position(): number {
    return this.request.prompt.length + this.accepted - 1;
  }

  /** Whether there are more tokens to come. */
  get isRunning(): boolean {
    return this.accepted < this.end;
  }

  /** Rows that have been generated so far: the last token's is not, until it is fed. */
  get generatedRows(): number {
    return this.accepted - 1;
  }

  /** Whether the logits that the next token is drawn from are to be reported. */
  get reportsLogits(): boolean {
    return this.accepted >= this.#logitsFrom && this.accepted < this.givenEnd;
  }

  /**
   * Takes the next token: the one that is given, or else the one drawn.
   *
   * @returns whether it was drawn
   */
  accept(drawn: number): boolean {
    const isGiven = this.accepted < this.givenEnd;
    this.lastToken = isGiven ? this.#given.tokens[this.accepted - this.#given.start] : drawn;
    this.accepted++;
    if (!isGiven) this.drawn++;
    if (this.counts !== null) this.counts[this.lastToken]++;
    return !isGiven;
  }

  /** Takes a paused generation up again, with a cache that holds no row too many. */
  resume({ rewind, continuation, maxTokens }: Resumption): void {
    const kept = rewind ? 0 : this.accepted;
    // The token behind a prompt is not drawn again: the row that it is drawn from is not in the cache.
    const accepted = Math.max(1, kept);
    const dropped = Math.max(0, this.accepted - accepted);
    this.cache.dropRecent(dropped);
    for (const layer of this.layers) layer.dropRecent(dropped);
    this.accepted = accepted;
    this.pausedBy = null;
    this.drawn = 0;
    if (rewind) this.lastToken = continuation.tokens[0];
    this.#goOn(continuation, kept, maxTokens);
  }

  #goOn({ tokens, logitsFrom = Infinity }: Continuation, start: number, maxTokens: number): void {
    this.#given = { start, tokens };
    this.givenEnd = start + tokens.length;
    this.end = this.givenEnd + maxTokens;
    this.#logitsFrom = Math.max(1, start + logitsFrom);
  }

  /** Whether an interval is over, with more tokens to come, and some layer holds more than its share of the budget. */
  get isEvictionDue(): boolean {
    const { eviction, context } = this.projection;
    if (eviction === null || !this.isRunning || this.generatedRows % eviction.interval !== 0) return false;
    const { policy: { window } } = eviction;
    const kept = rankedBudget(context.budget, window) + window;
    return this.layers.some(({ ranked, recent }) => Math.max(...ranked) + recent > kept);
  }

  /** Rows at the end of the prompt that are kept beside the ranked ones; 0 where nothing is ranked. */
  get window(): number {
    return this.policy?.window ?? 0;
  }

  /** What the prompt's rows came to, once every layer has been compressed; rows generated since do not count. */
  prefilledUsage(): KvCacheUsage {
    const { cache, layers, policy, window } = this;
    const { promptLength: promptRows, layerCount } = this.projection.context;
    const { blockBytes } = cache.pool;
    const ranked = layers.map(({ ranked }) => Array.from(ranked));
    // A compressed layer keeps its window beside the ranked rows, any other the whole prompt.
    const recent = policy === null ? promptRows : window;
    return {
      policy: this.request.kvCache.policy,
      promptRows,
      rowsPerLayer: ranked.map((heads) => heads.reduce((sum, rows) => sum + rows) / heads.length + recent),
      rowsPerHead: policy?.perHead ? ranked.map((heads) => heads.map((rows) => rows + recent)) : undefined,
      bytes: ranked.reduce((sum, _, layer) => sum + cache.rankedBlocks(layer) + blocksFor(recent), 0) * blockBytes,
      fullBytes: layerCount * blocksFor(promptRows) * blockBytes,
    };
  }

  /** The layers that have been scored so far, as a policy sees them. */
  layerScores({ perHead }: SequencePolicy): LayerScores[] {
    return this.scores.map((scores, layer) => ({
      ...scores,
      heldRows: this.cache.rankedRows[layer],
      headRows: perHead ? this.layers[layer].ranked.slice() : undefined,
    }));
  }

  get #resident(): Residence {
    if (this.residence === null) throw new Error(`Sequence ${this.id} has not been admitted, or has ended`);
    return this.residence;
  }
}
