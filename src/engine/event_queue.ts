/** @file Events of one generation on their way from the engine's pace to the reader's. */
import type { GenerationEvent } from "../contract/generation.ts";

/** Whether nothing comes after it. */
export function isLast({ type }: GenerationEvent): boolean {
  return type === "finished" || type === "failed";
}

/** Holds what has not been read yet. */
export class EventQueue {
  readonly #events: GenerationEvent[] = [];
  #wake: () => void = () => {};

  push(event: GenerationEvent): void {
    this.#events.push(event);
    this.#wake();
  }

  /** Yields events up to the last one; leaving early calls `abort`. */
  async *iterate(abort: () => void): AsyncGenerator<GenerationEvent> {
    let isDone = false;
    try {
      while (!isDone) {
        const event = this.#events.shift();
        if (event === undefined) {
          await new Promise<void>((resolve) => this.#wake = resolve);
          continue;
        }
        isDone = isLast(event);
        yield event;
      }
    } finally {
      if (!isDone) abort();
    }
  }
}
