/** @file The sequences that wait or run now, as far as their events tell. */
import type { GenerationRequest, KvCacheUsage } from "../../contract/generation.ts";
import { DecodeTally } from "./decode_tally.ts";

/** A sequence that waits or runs. */
export class LiveSequence {
  #kvCache: KvCacheUsage | null = null;
  /** Of the layers that have been read so far. */
  #rowsWhileReading: readonly number[] | null = null;
  #tokens = 0;
  readonly #tally = new DecodeTally();

  constructor(
    readonly requestId: string,
    readonly index: number,
    readonly request: GenerationRequest,
    /** `performance.now()` when its request arrived. */
    readonly arrival: number,
  ) {}

  /** What its cache came to; null until its prompt has been read. */
  get kvCache(): KvCacheUsage | null {
    return this.#kvCache;
  }

  /** What became of the cache since. */
  get decoding() {
    return this.#tally.usage;
  }

  reading(rowsPerLayer: readonly number[]): void {
    this.#rowsWhileReading = rowsPerLayer;
  }

  prefilled(kvCache: KvCacheUsage): void {
    this.#kvCache = kvCache;
    this.#tally.settle(kvCache.rowsPerLayer);
  }

  /** @param fallback why its policy failed, if it did */
  evicted(rowsPerLayer: readonly number[], fallback?: string): void {
    if (fallback !== undefined) this.#kvCache = { ...this.#kvCache!, fallback };
    this.#tally.evict(rowsPerLayer);
  }

  generated(): void {
    this.#tokens++;
    this.#tally.generate();
  }

  /** As `GET /v1/kv/sequences` tells it. */
  describe(now: number) {
    const { prompt, maxTokens, kvCache: { policy, budget, decodeInterval } } = this.request;
    return {
      request_id: this.requestId,
      index: this.index,
      // Until its prompt has been read, nothing tells whether it waits or is being read.
      state: this.#kvCache === null ? "prompt" : "generating",
      age_seconds: (now - this.arrival) / 1000,
      prompt_tokens: prompt.length,
      completion_tokens: this.#tokens,
      max_tokens: maxTokens,
      policy,
      budget,
      decode_interval: decodeInterval ?? null,
      evictions: this.decoding.evictions,
      rows_per_layer: this.#kvCache === null ? this.#rowsWhileReading : this.decoding.rows_per_layer,
    };
  }
}

/** Those that wait or run now, in the order of their coming. */
export class LiveSequences {
  readonly #sequences = new Set<LiveSequence>();

  add(sequence: LiveSequence): void {
    this.#sequences.add(sequence);
  }

  delete(sequence: LiveSequence): void {
    this.#sequences.delete(sequence);
  }

  describe() {
    const now = performance.now();
    return [...this.#sequences].map((sequence) => sequence.describe(now));
  }
}
