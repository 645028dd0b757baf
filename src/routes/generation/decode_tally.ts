/** @file The rows that a sequence holds while it generates, as far as its events tell. */

/** Follows the events of one sequence. */
export class DecodeTally {
  #settledRows: readonly number[] = [];
  #settledTokens = 0;
  #tokens = 0;
  #evictions = 0;

  /** The prompt's rows, once it has been read. */
  settle(rowsPerLayer: readonly number[]): void {
    this.#settledRows = rowsPerLayer;
    this.#settledTokens = this.#fedTokens;
  }

  /** What an eviction left. */
  evict(rowsPerLayer: readonly number[]): void {
    this.#evictions++;
    this.settle(rowsPerLayer);
  }

  /** Counts a token. */
  generate(): void {
    this.#tokens++;
  }

  /** As in `usage.kv_cache.decode_eviction`. */
  get usage(): { evictions: number; rows_per_layer: number[] } {
    const newRows = this.#fedTokens - this.#settledTokens;
    return { evictions: this.#evictions, rows_per_layer: this.#settledRows.map((rows) => rows + newRows) };
  }

  /** The last token never becomes a row. */
  get #fedTokens(): number {
    return Math.max(0, this.#tokens - 1);
  }
}
