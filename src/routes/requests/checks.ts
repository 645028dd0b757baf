/**
 * @file What a field may hold. Every check of a field carries the same words, so that whichever part of it fails, the
 * sentence is whole: "temperature is 7; expected a number from 0 to 2".
 *
 * How many entries a list has is checked before any of them is looked at: the work for a request must not grow with what
 * is refused anyway.
 */
import { z } from "zod";

/** A number in `[minimum, maximum]`. */
export function numberFrom(minimum: number, maximum: number) {
  const error = `expected a number from ${minimum} to ${maximum}`;
  return z.number({ error }).min(minimum, { error }).max(maximum, { error });
}

/** A whole number in `[minimum, maximum]`. */
export function integerFrom(minimum: number, maximum = Number.MAX_SAFE_INTEGER) {
  const range = maximum === Number.MAX_SAFE_INTEGER ? `at least ${minimum}` : `from ${minimum} to ${maximum}`;
  const error = `expected an integer ${range}`;
  return z.number({ error }).int({ error }).min(minimum, { error }).max(maximum, { error });
}

export const boolean = z.boolean({ error: "expected true or false" });
export const text = z.string({ error: "expected a string" });

/** A list of at most `maximum` entries. */
export function listOf<Element extends z.ZodType>(element: Element, maximum: number, expected: string) {
  return z.unknown().refine((value) => !Array.isArray(value) || value.length <= maximum, {
    error: `expected at most ${maximum} entries`,
    abort: true,
  }).pipe(z.array(element, { error: expected }));
}

/** A list of token ids; whether the vocabulary has them is not known here. */
export function tokenIds(maximum: number) {
  return z.custom<number[]>((value) => Array.isArray(value) && value.length <= maximum && value.every(isTokenId), {
    error: ({ input }) =>
      Array.isArray(input) && input.length > maximum
        ? `expected at most ${maximum} token ids`
        : "expected an array of token ids, each an integer at least 0",
  }).meta({ type: "array", items: { type: "integer", minimum: 0 }, maxItems: maximum });
}

export function isTokenId(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

/** A field that asks for what is not there: only values that ask for nothing are accepted. */
export function refused(reason: string, asksForNothing: (value: unknown) => boolean = () => false) {
  return z.unknown().refine((value) => value === undefined || value === null || asksForNothing(value), {
    error: `expected it to be absent: ${reason}`,
  }).optional();
}
