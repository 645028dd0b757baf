/** @file A queue with one reader that waits and any number of writers that do not. */

/**
 * Carries values from tasks that must not wait (they follow the engine) to a reader that may be slow (a client).
 * It is unbounded; what it can hold is bounded by the `max_tokens` of the request that it serves.
 */
export class Channel<T> implements AsyncIterable<T> {
  #values: T[] = [];
  #end: { readonly error?: unknown } | null = null;
  #wake = () => {};

  push(value: T): void {
    if (this.#end) return;
    this.#values.push(value);
    this.#wake();
  }

  /** Ends the reader's loop once it has read everything. Only the first end counts. */
  close(): void {
    this.#end ??= {};
    this.#wake();
  }

  /** Throws in the reader once it has read everything. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    for (;;) {
      const values = this.#values;
      this.#values = [];
      yield* values;
      if (this.#values.length > 0) continue;
      if (this.#end) {
        if ("error" in this.#end) throw this.#end.error;
        return;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}
