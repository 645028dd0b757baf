/** @file When a choice came how far, told to whoever wants to know: metrics and traces. */
import type { Outcome } from "./outcome.ts";

/** When a choice came how far, as `performance.now()` tells it. */
export interface ChoiceTimes {
  readonly arrival: number;
  /** Handed to the engine. */
  readonly queued: number;
  /** Let in by the engine; null where that is not known, or has not been. */
  readonly scheduled: number | null;
  readonly firstToken: number | null;
  readonly lastToken: number | null;
  readonly ended: number;
}

/** How a choice ended. */
export interface ChoiceEnd {
  readonly outcome: Outcome;
  readonly tokens: number;
  readonly times: ChoiceTimes;
}

/** Is told of one choice. */
export interface ChoiceObserver {
  /** Tokens have come from the engine, so many seconds after the arrival of the request, or after the tokens before. */
  tokens?(count: number, seconds: number, areFirst: boolean): void;
  ended(end: ChoiceEnd): void;
}

/** Keeps the time of one choice. */
export class ChoiceClock {
  readonly #queued = performance.now();
  #scheduled: number | null = null;
  #first: number | null = null;
  #last: number | null = null;
  #tokens = 0;

  /** @param arrival `performance.now()` when the request arrived */
  constructor(readonly arrival: number, readonly observers: readonly ChoiceObserver[]) {}

  /** @param waitedSeconds in the engine's queue; unknown of engines that do not tell */
  prefilled(waitedSeconds: number | undefined): void {
    if (waitedSeconds !== undefined) this.#scheduled = this.#queued + 1000 * waitedSeconds;
  }

  tokens(count: number): void {
    const now = performance.now();
    const seconds = (now - (this.#last ?? this.arrival)) / 1000;
    for (const observer of this.observers) observer.tokens?.(count, seconds, this.#first === null);
    this.#first ??= now;
    this.#last = now;
    this.#tokens += count;
  }

  ended(outcome: Outcome): void {
    const times: ChoiceTimes = {
      arrival: this.arrival,
      queued: this.#queued,
      scheduled: this.#scheduled,
      firstToken: this.#first,
      lastToken: this.#last,
      ended: performance.now(),
    };
    for (const observer of this.observers) observer.ended({ outcome, tokens: this.#tokens, times });
  }
}
