/**
 * @file How long a plugin's call may take: its loops look at the clock, and end it when the time is over.
 *
 * What counts is the time that the thread computed, not the time that went by: on a machine with other things to do, a call that
 * computes for a millisecond can take a second, and whether a policy fails must not depend on that. As asking for it takes some
 * thirty microseconds, it is asked for only once more time has gone by than may be computed.
 */
import process from "node:process";

/** Loops between two looks at the clock. */
const LOOPS_PER_LOOK = 256;

/** The times that a call is measured by, in milliseconds. */
export interface Times {
  /** That went by, from whenever. */
  readonly passed: () => number;
  /** That this thread has computed. */
  readonly computed: () => number;
}

const TIMES: Times = {
  passed: () => performance.now(),
  computed: () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  },
};

export class CallClock {
  /** When to look again; of the time that passes. */
  #look = Infinity;
  /** Of the computed time; known from the first look on, and before it where a call took long that did not look. */
  #begun: number | null = null;
  #what = "";
  #limit = 0;
  #loops = 0;
  #isSuspect = false;

  constructor(readonly times: Times = TIMES) {}

  /** What every loop and function of the plugin calls. @throws {Error} when the time of the present call is over */
  readonly tick = (): void => {
    if (++this.#loops % LOOPS_PER_LOOK === 0 && this.times.passed() > this.#look) this.#judge();
  };

  /**
   * Runs a call of the plugin.
   *
   * @param limit of what it computes, in milliseconds; it ends between that and twice as much
   * @throws {Error} what it throws, and where it computed for longer
   */
  within<Result>(limit: number, what: string, call: () => Result): Result {
    [this.#limit, this.#what] = [limit, what];
    this.#begun = this.#isSuspect ? this.times.computed() : null;
    const end = this.times.passed() + limit;
    this.#look = end;
    try {
      const result = call();
      if (this.times.passed() <= end) return result;
      // A call without a loop, such as one that sorts a great deal: the next one is measured from its beginning.
      this.#isSuspect = this.#begun === null;
      if (!this.#isSuspect) this.#judge();
      return result;
    } finally {
      this.#look = Infinity;
    }
  }

  /** @throws {Error} when all of the time has been computed */
  #judge(): void {
    const computed = this.times.computed();
    this.#begun ??= computed;
    const left = this.#limit - (computed - this.#begun);
    if (left <= 0) throw new Error(`${this.#what} computed for longer than ${this.#limit} ms`);
    this.#look = this.times.passed() + left;
  }
}
