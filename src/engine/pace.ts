/**
 * @file How much work goes into a submit: enough to keep the GPU busy while a readback sleeps, no more than others bear.
 *
 * The measure is how long mapping the previous submit's results blocked. Hardly at all: the GPU had been idle, so submits
 * may grow. Long: the submit outlasted the sleep by far, so they shrink.
 */

/** Mapping blocked for less: the GPU was idle. In milliseconds. */
const IDLE = 1;

export class Pace {
  constructor(public amount: number, readonly most: number) {}

  /**
   * Adjusts the amount after a submit of `recorded` units whose mapping blocked for `blocked` milliseconds.
   *
   * @param bearable milliseconds of blocking above which submits shrink
   */
  adjust(recorded: number, blocked: number, bearable: number): void {
    if (blocked < IDLE && recorded >= this.amount) this.amount = Math.min(this.most, this.amount * 2);
    if (blocked > bearable) this.amount = Math.max(1, Math.ceil(Math.min(this.amount, recorded) / 2));
  }
}
