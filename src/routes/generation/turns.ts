/** @file Long work on the thread of HTTP, in pieces between which others have their turn. */

/** How long a piece may last, in milliseconds. */
const TURN_MILLISECONDS = 10;

/** The turns of one piece of work. */
export class Turns {
  #begun = performance.now();

  /** To be called now and then: waits until others have had their turn, if this one has lasted long enough. */
  async next(): Promise<void> {
    if (performance.now() - this.#begun < TURN_MILLISECONDS) return;
    await new Promise((resolve) => setTimeout(resolve));
    this.#begun = performance.now();
  }
}
