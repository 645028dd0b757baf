/** @file One generation on its way through the CPU engine: waiting, prefilling, running, finished. */
import type { PrefixLease } from "../cache/cached_prefix.ts";
import type { SequenceCache } from "../cache/sequence_cache.ts";
import type { Continuation, GeneratedToken, GenerationRequest, Resumption } from "../contract/generation.ts";
import { Constraint } from "../engine/constraint.ts";
import type { Forecast } from "../engine/forecast.ts";
import type { Fallback } from "../engine/sequence.ts";
import { LayerBudgets } from "../engine/layer_budgets.ts";
import { usesCounts } from "../kernels/sampling/sampling_record.ts";
import { promptCounts } from "../kernels/sampling/penalties.ts";
import type { PolicyContext } from "../policy/context.ts";
import type { SequencePolicy } from "../policy/policy.ts";
import type { LayerRows } from "./cache/layer_rows.ts";
import type { DecodeMemory } from "./decode_memory.ts";

/** What a sequence holds from admission to its end. */
export interface Residence {
  /** The books. */
  readonly cache: SequenceCache;
  /** The rows themselves, by layer. */
  readonly layers: readonly LayerRows[];
  /** What was found of its prompt; `null` once the prompt is being read, see prompt_prefix.ts. */
  prefix: PrefixLease | null;
}

export class Sequence {
  #residence: Residence | null = null;
  isFinished = false;
  /** Rows of the prompt that came from the prefix cache. */
  cachedRows = 0;
  /** What its tokens are bound to; `null` lets any token come. */
  readonly constraint: Constraint | null;
  /** A drawn token that counts only once it is known what follows it. */
  asked: GeneratedToken | null = null;
  /** Why the generation waits to be resumed; null while it does not. */
  pausedBy: "stop" | "length" | null = null;
  /** Tokens behind the prompt, given or drawn; the last one, which the next step feeds, is not in the cache yet. */
  readonly acceptedTokens: number[] = [];
  /** Tokens behind the prompt up to which they are given, and where the generation ends. */
  givenEnd = 0;
  end = 0;
  /** Tokens behind the prompt before which no stop token comes. */
  readonly #leastEnd: number = 0;
  /** Tokens drawn since the prompt, or since the generation was resumed. */
  drawn = 0;
  #logitsFrom = Infinity;
  #given: { readonly start: number; readonly tokens: Uint32Array } = { start: 0, tokens: new Uint32Array() };
  /** `[vocabularySize]`, where penalties apply. */
  readonly counts: Uint32Array | null;
  /** The scores of its layers, and what its policy makes of them. */
  readonly budgets: LayerBudgets;
  /** Positions of the ranked rows by layer and KV head, best first, where they are reported. */
  readonly rankedPositions: (readonly Uint32Array[])[] = [];
  /** Set at admission where rows are evicted while tokens are generated, cleared at the end. */
  memory: DecodeMemory | null = null;
  /** How often rows have been evicted while tokens were generated. */
  evictions = 0;
  /** Time that it waited for admission, in seconds. */
  waitedSeconds = 0;
  readonly #queued = performance.now();

  constructor(
    readonly id: number,
    readonly request: GenerationRequest,
    readonly forecast: Forecast,
    readonly fallback: Fallback,
    vocabularySize: number,
  ) {
    this.budgets = new LayerBudgets(forecast.context.kvHeadCount);
    this.constraint = Constraint.of(request);
    const { sampling, prompt, stopTokens, minTokens = 0 } = request;
    this.counts = usesCounts(sampling) ? promptCounts(prompt, vocabularySize) : null;
    this.#goOn(request.continuation ?? { tokens: new Uint32Array() }, 0, request.maxTokens);
    if (stopTokens.length > 0) this.#leastEnd = this.givenEnd + minTokens;
  }

  get context(): PolicyContext {
    return this.forecast.context;
  }

  /** `null` keeps every row of the prompt. */
  get policy(): SequencePolicy | null {
    return this.forecast.policy;
  }

  /** @throws {Error} before admission and after the end */
  get residence(): Residence {
    if (this.#residence === null) throw new Error(`Sequence ${this.id} has not been admitted, or has ended`);
    return this.#residence;
  }

  /** Gives the sequence its residence at admission, and takes it at the end: for admission.ts alone. */
  reside(residence: Residence | null): void {
    this.#residence = residence;
    if (residence !== null) this.waitedSeconds = (performance.now() - this.#queued) / 1000;
  }

  get cache(): SequenceCache {
    return this.residence.cache;
  }

  get layers(): readonly LayerRows[] {
    return this.residence.layers;
  }

  /** Whether every row stays where it is. */
  get keepsRows(): boolean {
    return this.policy === null && this.forecast.eviction === null;
  }

  /** How many tokens behind the prompt there are. */
  get accepted(): number {
    return this.acceptedTokens.length;
  }

  /** The token that the next step feeds. */
  get lastToken(): number {
    return this.acceptedTokens.at(-1)!;
  }

  /** Whether the next step can be computed. */
  get isReady(): boolean {
    return this.constraint?.isReady !== false;
  }

  /** Position of the last token, which the next step feeds; of the prompt's last token at first. */
  get position(): number {
    return this.request.prompt.length + this.accepted - 1;
  }

  /** Tokens that are still to come. */
  get remaining(): number {
    return this.end - this.accepted;
  }

  /** Whether the next token may end the generation. */
  get mayEnd(): boolean {
    return this.accepted >= this.#leastEnd;
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
    const token = isGiven ? this.#given.tokens[this.accepted - this.#given.start] : drawn;
    this.acceptedTokens.push(token);
    if (!isGiven) this.drawn++;
    if (this.counts !== null) this.counts[token]++;
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
    this.acceptedTokens.length = kept;
    if (kept === 0) this.acceptedTokens.push(continuation.tokens[0]);
    this.pausedBy = null;
    this.drawn = 0;
    this.#goOn(continuation, kept, maxTokens);
  }

  #goOn({ tokens, logitsFrom = Infinity }: Continuation, start: number, maxTokens: number): void {
    this.#given = { start, tokens };
    this.givenEnd = start + tokens.length;
    this.end = this.givenEnd + maxTokens;
    this.#logitsFrom = Math.max(1, start + logitsFrom);
  }

  /** Rows at the end of the prompt that are kept beside the ranked ones; 0 where nothing is ranked. */
  get window(): number {
    return this.policy?.window ?? 0;
  }
}
