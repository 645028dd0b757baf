/** @file Scores whose steps have functions, as data: a function cannot leave its thread, but it can be called from another. */
import type { Score } from "./steps.ts";

/** Stands in for a function: its number. */
interface Stand {
  readonly ebbFunction: number;
}

// deno-lint-ignore no-explicit-any -- what they take is their steps' business
type AnyFunction = (...given: any[]) => any;

/** A score as data, and the functions that are numbers in it. */
export function functionsOf(score: Score): { readonly asData: unknown; readonly calls: readonly AnyFunction[] } {
  const calls: AnyFunction[] = [];
  const asData = replaced(score, (value) => {
    if (typeof value !== "function") return undefined;
    return { ebbFunction: calls.push(value as AnyFunction) - 1 } satisfies Stand;
  });
  return { asData, calls };
}

/** The score again, with functions that call those of another thread. */
export function withFunctions(asData: unknown, call: (number: number, given: unknown[]) => unknown): Score {
  return replaced(asData, (value) => {
    const { ebbFunction } = (value ?? {}) as Partial<Stand>;
    return ebbFunction === undefined ? undefined : (...given: unknown[]) => call(ebbFunction, given);
  }) as Score;
}

/** A copy of plain data in which values are replaced for which there is something else. */
function replaced(value: unknown, other: (value: unknown) => unknown): unknown {
  const found = other(value);
  if (found !== undefined) return found;
  if (Array.isArray(value)) return value.map((entry) => replaced(entry, other));
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, replaced(entry, other)]));
}
