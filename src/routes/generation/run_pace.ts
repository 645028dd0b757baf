/** @file How fast the choices of one request came, all together: the one rule for the log, the page and the command line. */
import type { ChoiceObserver } from "./choice_observer.ts";

/**
 * Shorter times are those of threads and networks, not of the model: tokens that had to wait for a busy thread come all at once,
 * which would make some ten thousand a second of them.
 */
const LEAST_SECONDS = 0.1;

/** Is told of all choices of a request. */
export class RunPace implements ChoiceObserver {
  #firstAt: number | null = null;
  #lastAt = 0;
  #tokens = 0;
  #firstTokens = 0;

  /** @param arrival `performance.now()` when the request arrived @param now tells the time */
  constructor(readonly arrival: number, readonly now: () => number = () => performance.now()) {}

  tokens(count: number): void {
    this.#lastAt = this.now();
    this.#firstAt ??= this.#lastAt;
    // What came with the first ones was waited for with them.
    if (this.#lastAt === this.#firstAt) this.#firstTokens += count;
    this.#tokens += count;
  }

  ended(): void {}

  /** Seconds from the arrival to the first token of any choice; null if there was none. */
  get firstTokenSeconds(): number | null {
    return this.#firstAt === null ? null : (this.#firstAt - this.arrival) / 1000;
  }

  /** Tokens of all choices a second, behind the first; null if there were no more, or if that took less than a tenth of a second. */
  get tokensPerSecond(): number | null {
    const seconds = (this.#lastAt - (this.#firstAt ?? 0)) / 1000;
    return seconds < LEAST_SECONDS ? null : (this.#tokens - this.#firstTokens) / seconds;
  }
}
