/** @file How fast the choices of one request came, all together. */
import type { ChoiceObserver } from "./choice_observer.ts";

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

  /** Tokens of all choices a second, behind the first; null if there were no more. */
  get tokensPerSecond(): number | null {
    const later = this.#tokens - this.#firstTokens;
    return this.#firstAt === null || later === 0 ? null : later / ((this.#lastAt - this.#firstAt) / 1000);
  }
}
