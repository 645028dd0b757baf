/** @file Ends a stream of text at the first of some stop strings. */

/** What a piece of text came to. */
export interface StopResult {
  /** The text that can be passed on. */
  readonly text: string;
  readonly stopped: boolean;
  /** The stop string that was found. */
  readonly matched?: string;
}

/**
 * Passes text on up to a stop string, however the text is cut into pieces: a tail that might become a stop string is
 * held back until it is one, or cannot be one any more.
 *
 * The stop string that is complete first wins; of several that end at the same character, the longest.
 */
export class StopStringFilter {
  readonly #stops: readonly string[];
  readonly #include: boolean;
  #held = "";
  #matched: string | undefined;

  /**
   * @param stops not empty strings; the list may be empty
   * @param options `include`: pass the stop string itself on, too. Default: false
   * @throws {RangeError} when a stop string is empty
   */
  constructor(stops: readonly string[], { include = false }: { readonly include?: boolean } = {}) {
    if (stops.includes("")) throw new RangeError("A stop string is empty: expected at least one character");
    this.#stops = stops;
    this.#include = include;
  }

  /** Takes the next piece. Once stopped, everything further is dropped. */
  push(piece: string): StopResult {
    if (this.#matched !== undefined) return { text: "", stopped: true, matched: this.#matched };
    const text = this.#held + piece;
    const match = this.#firstMatch(text, this.#held.length);
    if (match !== undefined) {
      this.#held = "";
      this.#matched = match.stop;
      return { text: text.slice(0, this.#include ? match.end : match.start), stopped: true, matched: match.stop };
    }
    return { text: this.#release(text), stopped: false };
  }

  /** Takes the next piece without looking for stop strings: none that ends in it counts. One that goes on in the next does. */
  pass(piece: string): StopResult {
    return this.#matched === undefined ? { text: this.#release(this.#held + piece), stopped: false } : this.push(piece);
  }

  /** The text that was held back for a stop string that never came. Call once, after the last piece. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /** Holds back what may become a stop string. @returns the rest */
  #release(text: string): string {
    const heldFrom = text.length - this.#longestOpenTail(text);
    this.#held = text.slice(heldFrom);
    return text.slice(0, heldFrom);
  }

  /** The first stop string that ends beyond `known` characters. */
  #firstMatch(text: string, known: number): { stop: string; start: number; end: number } | undefined {
    let first: { stop: string; start: number; end: number } | undefined;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop, Math.max(0, known - stop.length + 1));
      if (start < 0) continue;
      const end = start + stop.length;
      if (first === undefined || end < first.end || (end === first.end && start < first.start)) {
        first = { stop, start, end };
      }
    }
    return first;
  }

  /** Length of the longest tail of `text` that is the beginning of a stop string. */
  #longestOpenTail(text: string): number {
    const longest = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      const tail = text.slice(text.length - length);
      if (this.#stops.some((stop) => stop.length > length && stop.startsWith(tail))) return length;
    }
    return 0;
  }
}
