/**
 * @file Compares two records of behaviour.
 *
 * On one machine everything is equal bit for bit. Another one rounds otherwise, in the order in which it sums, in its
 * exponential function and where it fuses a product with a sum: there log-probabilities may differ by {@link TOLERANCE}, and
 * what hangs on the last bit of a number (hashes of logits, which alternatives are next best, figures of a comparison made of
 * log-probabilities) is not compared; tokens, rows, bytes and messages are.
 */
import type { Machine } from "./machine.ts";
import { floatsOf, type Outcome } from "./outcome.ts";
import type { ModelRecord } from "./play.ts";

/** All that was recorded. */
export interface BehaviourRecord {
  readonly isSmall: boolean;
  readonly machine: Machine;
  readonly models: Readonly<Record<string, ModelRecord>>;
  /** Results of `eval compare`. */
  readonly comparison: unknown;
}

/** TODO */
export const TOLERANCE = 2e-2;

/** Where the records differ, a line each: the case, the field, and both values. */
export function differences(before: BehaviourRecord, now: BehaviourRecord): { lines: string[]; isExact: boolean } {
  const isExact = JSON.stringify(before.machine) === JSON.stringify(now.machine);
  const form = isExact ? (record: BehaviourRecord) => record : withoutLastBits;
  const lines: string[] = [];
  compare("", form(before), form(now), lines, isExact ? 0 : TOLERANCE);
  return { lines, isExact };
}

/** Compares values of JSON, naming the place. Fields named `logprobs` are numbers in base64. */
function compare(place: string, before: unknown, now: unknown, lines: string[], tolerance: number): void {
  if (isObject(before) && isObject(now)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
      if (place === "" && name === "machine") continue;
      const inner = place === "" ? name : `${place} > ${name}`;
      if (name === "logprobs" && tolerance > 0) compareFloats(inner, before[name], now[name], lines, tolerance);
      else compare(inner, before[name], now[name], lines, tolerance);
    }
  } else if (JSON.stringify(before) !== JSON.stringify(now)) {
    lines.push(`${place}: was ${JSON.stringify(before)}, is ${JSON.stringify(now)}`);
  }
}

function compareFloats(place: string, before: unknown, now: unknown, lines: string[], tolerance: number): void {
  const [was, is] = [before, now].map((text) => typeof text === "string" ? floatsOf(text) : undefined);
  const isNear = was?.length === is?.length && was?.every((value, i) => Math.abs(value - is![i]) <= tolerance);
  if (!isNear) lines.push(`${place}: was ${was}, is ${is}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function withoutLastBits({ comparison, models, ...record }: BehaviourRecord): unknown {
  return {
    ...record,
    comparison: JSON.parse(JSON.stringify(comparison, (name, value) => name === "divergence" ? undefined : value)),
    models: mapValues(models, ({ cases, ...model }) => ({
      ...model,
      cases: mapValues(
        cases,
        ({ alternatives: _, logits: { length }, ...outcome }: Outcome) => ({ ...outcome, length }),
      ),
    })),
  };
}

function mapValues<From, To>(object: Readonly<Record<string, From>>, map: (value: From) => To) {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, map(value)]));
}
