/**
 * @file Bounds what a template may do. Rendering is done while other clients wait, and a template comes from whoever made
 * the model: a loop in a loop, or a text that doubles again and again, must end in an error.
 */

import { TemplateError, type Value } from "./values.ts";

/** Nodes of the syntax tree that are evaluated, and items of lists that are copied. Half a second. */
const MAX_STEPS = 1_000_000;

/** UTF-16 units that are put together, each as often as that is done. */
const MAX_CHARACTERS = 2 ** 27;

/** As in Jinja's sandbox, which transformers uses. */
const MAX_RANGE = 100_000n;

/** Integers beyond are refused, as Python refuses to print them. */
const MAX_INTEGER = 10n ** 4300n;

/** The template, not the conversation, is at fault. */
export class TemplateLimitError extends TemplateError {
  override name = "TemplateLimitError";
}

export class Budget {
  #steps = MAX_STEPS;
  #characters = MAX_CHARACTERS;

  spendSteps(count: number): void {
    if ((this.#steps -= count) < 0) throw new TemplateLimitError(`it takes more than ${MAX_STEPS} steps`);
  }

  spendCharacters(count: number): void {
    if ((this.#characters -= count) < 0) {
      throw new TemplateLimitError(`it puts more than ${MAX_CHARACTERS} characters together`);
    }
  }

  /** @returns the integer, if it is not too large */
  integer(value: bigint): bigint {
    if (value < MAX_INTEGER && value > -MAX_INTEGER) return value;
    throw new TemplateLimitError("it computes an integer of more than 4300 digits");
  }

  /** Python's `range`. */
  range(start: bigint, stop: bigint, step: bigint): Value[] {
    if (step === 0n) throw new TemplateError("range() arg 3 must not be zero");
    const distance = step > 0n ? stop - start : start - stop;
    const size = step > 0n ? step : -step;
    const count = distance <= 0n ? 0n : (distance + size - 1n) / size;
    if (count > MAX_RANGE) {
      throw new TemplateLimitError(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${MAX_RANGE}).`);
    }
    this.spendSteps(Number(count));
    return Array.from({ length: Number(count) }, (_, i) => start + BigInt(i) * step);
  }
}
