/**
 * @file Compares two records of behaviour.
 *
 * On one machine everything is equal bit for bit, but for one figure: `eval compare` lets its questions in as time has it, so
 * that the divergence it measures differs in the last bits. Another machine rounds otherwise (in the order in which it sums, in
 * its exponential function, where it fuses a product with a sum): there log-probabilities are compared to within a tolerance,
 * and what hangs on last bits is left out, that is hashes of logits and which tokens are next best. Tokens, text, rows, bytes,
 * evictions and messages must be equal there too.
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

/**
 * Of log-probabilities, in nats. What another order of sums does to a key or value of the cache in half precision is one unit
 * in its last place, 2^-11 of it; with the other attention kernels, which llvmpipe runs where its vectors are of 128 or 512
 * bits, no log-probability of the small record moved by 1e-3 (with a cache in single precision, by 5e-6). Ten times that allows
 * for GPUs, and is far below what any error makes of these models, whose log-probabilities differ by whole nats.
 */
const TOLERANCE = 1e-2;

/** Of divergences on one machine, in nats: the last bits of logits move a divergence of 1.6 by 2e-5. */
const TIMING_TOLERANCE = 1e-3;

interface Tolerances {
  readonly logprobs: number;
  readonly divergence: number;
}

/** Where the records differ, a line each: the case, the field, and both values. */
export function differences(before: BehaviourRecord, now: BehaviourRecord): { lines: string[]; isExact: boolean } {
  const isExact = JSON.stringify(before.machine) === JSON.stringify(now.machine);
  const lines: string[] = [];
  const compareAll = (was: Partial<BehaviourRecord>, is: Partial<BehaviourRecord>, tolerances: Tolerances) =>
    compare([], { ...was, machine: null }, { ...is, machine: null }, tolerances, lines);
  if (isExact) compareAll(before, now, { logprobs: 0, divergence: TIMING_TOLERANCE });
  else compareAll(withoutLastBits(before), withoutLastBits(now), { logprobs: TOLERANCE, divergence: TOLERANCE });
  return { lines, isExact };
}

function compare(path: string[], before: unknown, now: unknown, tolerances: Tolerances, lines: string[]): void {
  if (isObject(before) && isObject(now) && Array.isArray(before) === Array.isArray(now)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
      compare([...path, name], before[name], now[name], tolerances, lines);
    }
  } else if (!isNear(path.at(-1), before, now, tolerances)) {
    lines.push(`${path.join(" > ")}: was ${shown(path, before)}, is ${shown(path, now)}`);
  }
}

/** Whether the values of a field are equal, or as near as they have to be. */
function isNear(field: string | undefined, before: unknown, now: unknown, tolerances: Tolerances): boolean {
  if (Object.is(before, now)) return true;
  if (field === "divergence") return Math.abs(Number(before) - Number(now)) <= tolerances.divergence;
  if (field !== "logprobs" || tolerances.logprobs === 0) return false;
  const [was, is] = [floatsOf(String(before)), floatsOf(String(now))];
  return was.length === is.length && was.every((value, i) => Math.abs(value - is[i]) <= tolerances.logprobs);
}

/** For people. */
function shown(path: readonly string[], value: unknown): string {
  return path.at(-1) === "logprobs" && typeof value === "string" ? `[${floatsOf(value)}]` : `${JSON.stringify(value)}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function withoutLastBits({ models, ...record }: BehaviourRecord): Partial<BehaviourRecord> {
  const plain = (outcome: Outcome) => ({ ...outcome, alternatives: undefined, logits: outcome.logits.length });
  const entries = Object.entries(models).map(([model, { cases, ...rest }]) => {
    const plainCases = Object.entries(cases).map(([name, outcome]) => [name, plain(outcome)]);
    return [model, { ...rest, cases: Object.fromEntries(plainCases) }];
  });
  return { ...record, models: Object.fromEntries(entries) };
}
