/**
 * @file The values of templates, and what Python makes of them: truth, equality, iteration, type names.
 *
 * Integers are bigints and floats are numbers, so that `1`, `1.0` and `1234567890123456789` stay what they are.
 */

import { TemplateText } from "./template_text.ts";

/** A function that templates can call; `named` are its keyword arguments. */
export type TemplateFunction = (positional: Value[], named: ReadonlyMap<string, Value>) => Value;

export type Value =
  | Undefined
  | null
  | boolean
  | bigint
  | number
  | TemplateText
  | Value[]
  | Tuple
  | Dict
  | Namespace
  | TemplateFunction;

/** An error of the template or of what it was given, in Python's words. */
export class TemplateError extends Error {
  override name = "TemplateError";
}

/** What a name that is not there stands for. It prints as nothing, is false and empty; to do more with it fails. */
export class Undefined {
  /** @param problem such as "'tools' is undefined" */
  constructor(readonly problem: string) {}

  error(): TemplateError {
    return new TemplateError(this.problem);
  }
}

export class Tuple {
  constructor(readonly items: readonly Value[]) {}
}

/** `namespace(...)`: the one value whose attributes a template can set. */
export class Namespace {
  readonly #attributes = new Map<string, Value>();

  get(name: string): Value | undefined {
    return this.#attributes.get(name);
  }

  set(name: string, value: Value): void {
    this.#attributes.set(name, value);
  }
}

type Key = string | bigint | number | null;

/** A dictionary in the order of its insertions. */
export class Dict {
  readonly #entries = new Map<Key, readonly [Value, Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }

  get size(): number {
    return this.#entries.size;
  }

  set(key: Value, value: Value): void {
    const id = keyOf(key);
    this.#entries.set(id, [this.#entries.get(id)?.[0] ?? key, value]);
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(keyOf(key))?.[1];
  }

  has(key: Value): boolean {
    return this.#entries.has(keyOf(key));
  }

  entries(): (readonly [Value, Value])[] {
    return [...this.#entries.values()];
  }

  keys(): Value[] {
    return this.entries().map(([key]) => key);
  }

  values(): Value[] {
    return this.entries().map(([, value]) => value);
  }
}

/** Equal keys are the same: texts whatever their marks, and numbers of whatever type. */
function keyOf(value: Value): Key {
  if (value instanceof TemplateText) return `s${value.value}`;
  if (typeof value === "boolean") return BigInt(value);
  if (typeof value === "number") return Number.isInteger(value) ? BigInt(value) : value;
  if (typeof value === "bigint" || value === null) return value;
  if (value instanceof Tuple) return `t${value.items.map((item) => String(keyOf(item))).join()}`;
  if (value instanceof Undefined) return "u";
  throw new TemplateError(`unhashable type: '${typeName(value)}'`);
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof TemplateText) return "str";
  if (Array.isArray(value)) return "list";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof Dict) return "dict";
  if (value instanceof Namespace) return "Namespace";
  return ({ boolean: "bool", bigint: "int", number: "float" } as Record<string, string>)[typeof value] ?? "function";
}

export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === "boolean") return value;
  if (typeof value === "bigint") return value !== 0n;
  if (typeof value === "number") return value !== 0;
  if (value instanceof TemplateText) return value.value !== "";
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Tuple) return value.items.length > 0;
  return value instanceof Dict ? value.size > 0 : true;
}

export function isNumber(value: Value): value is bigint | number | boolean {
  return typeof value === "bigint" || typeof value === "number" || typeof value === "boolean";
}

/** A boolean as the integer that it is to Python. */
export function asNumber(value: bigint | number | boolean): bigint | number {
  return typeof value === "boolean" ? BigInt(value) : value;
}

export function areEqual(a: Value, b: Value): boolean {
  // JavaScript compares bigints and numbers by value.
  if (isNumber(a) && isNumber(b)) return asNumber(a) == asNumber(b);
  if (a instanceof TemplateText && b instanceof TemplateText) return a.value === b.value;
  if (a instanceof Undefined) return b instanceof Undefined;
  if (Array.isArray(a)) return Array.isArray(b) && areAllEqual(a, b);
  if (a instanceof Tuple) return b instanceof Tuple && areAllEqual(a.items, b.items);
  if (a instanceof Dict && b instanceof Dict) {
    return a.size === b.size && a.entries().every(([key, value]) => b.has(key) && areEqual(value, b.get(key)!));
  }
  return a === b;
}

function areAllEqual(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((item, i) => areEqual(item, b[i]));
}

/** Longer texts cannot be walked through; no prompt template needs to. */
const MAX_WALKED = 100_000;

/** The items that `for` walks through. @throws {TemplateError} when the value cannot be walked through */
export function itemsOf(value: Value): readonly Value[] {
  if (Array.isArray(value)) return value;
  if (value instanceof Tuple) return value.items;
  if (value instanceof Dict) return value.keys();
  if (value instanceof TemplateText) {
    // Each character becomes a value of its own.
    if (value.value.length > MAX_WALKED) throw new TemplateError("the text is too long to walk through its characters");
    return value.characters();
  }
  if (value instanceof Undefined) return [];
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

/** Python's `len`. @throws {TemplateError} when the value has no length */
export function lengthOf(value: Value): bigint {
  if (value instanceof TemplateText) return BigInt(value.length);
  if (value instanceof Dict) return BigInt(value.size);
  if (Array.isArray(value) || value instanceof Tuple || value instanceof Undefined) {
    return BigInt(itemsOf(value).length);
  }
  throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
}

export function text(value: string): TemplateText {
  return new TemplateText(value);
}
