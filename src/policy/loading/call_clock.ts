/** @file How long a plugin's call may take: its loops look at the clock, and end it when the time is over. */

/** Loops between two looks at the clock. */
const LOOPS_PER_LOOK = 256;

export class CallClock {
  #deadline = Infinity;
  #what = "";
  #milliseconds = 0;
  #loops = 0;

  /** What every loop and function of the plugin calls. @throws {Error} when the time of the present call is over */
  readonly tick = (): void => {
    if (++this.#loops % LOOPS_PER_LOOK === 0 && performance.now() > this.#deadline) throw this.#late();
  };

  /**
   * Runs a call of the plugin.
   *
   * @throws {Error} what it throws, and where it took longer
   */
  within<Result>(milliseconds: number, what: string, call: () => Result): Result {
    [this.#milliseconds, this.#what] = [milliseconds, what];
    this.#deadline = performance.now() + milliseconds;
    try {
      const result = call();
      if (performance.now() > this.#deadline) throw this.#late();
      return result;
    } finally {
      this.#deadline = Infinity;
    }
  }

  #late(): Error {
    return new Error(`${this.#what} took longer than ${this.#milliseconds} ms`);
  }
}
