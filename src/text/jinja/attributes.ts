/** @file Attributes, items and slices: `x.name`, `x["name"]`, `x[1:]`. */

import type { Budget } from "./budget.ts";
import { methodOf } from "./methods.ts";
import { repr } from "./python_text.ts";
import { TemplateText } from "./template_text.ts";
import {
  Dict,
  itemsOf,
  lengthOf,
  Namespace,
  TemplateError,
  text,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** `value.name`: a method or attribute before an item. */
export function attribute(value: Value, name: string, budget: Budget): Value {
  if (value instanceof Undefined) throw value.error();
  const found = value instanceof Namespace
    ? value.get(name)
    : methodOf(value, name, budget) ?? (value instanceof Dict ? value.get(text(name)) : undefined);
  return found === undefined ? noAttribute(value, name) : found;
}

/** `value[key]`: an item before a method. */
export function item(value: Value, key: Value, budget: Budget): Value {
  if (value instanceof Undefined) throw value.error();
  if (value instanceof Dict && !(key instanceof Undefined)) {
    const found = value.get(key);
    if (found !== undefined) return found;
  }
  if (typeof key === "bigint" || typeof key === "boolean") {
    const found = at(value, Number(key));
    if (found !== undefined) return found;
  }
  if (key instanceof TemplateText) {
    const method = value instanceof Namespace ? value.get(key.value) : methodOf(value, key.value, budget);
    return method === undefined ? noAttribute(value, key.value) : method;
  }
  return new Undefined(`${shownType(value)} has no element ${repr(key).value}`);
}

function at(value: Value, index: number): Value | undefined {
  if (Array.isArray(value)) return value.at(index);
  if (value instanceof Tuple) return value.items.at(index);
  if (!(value instanceof TemplateText)) return undefined;
  const { length } = value;
  const place = index < 0 ? index + length : index;
  return place >= 0 && place < length ? value.sliceCharacters(place, place + 1) : undefined;
}

function noAttribute(value: Value, name: string): Undefined {
  return new Undefined(`${shownType(value)} has no attribute ${repr(text(name)).value}`);
}

function shownType(value: Value): string {
  return value === null ? "None" : `'${typeName(value)} object'`;
}

/** `value[start:stop:step]` of lists, tuples and texts. */
export function slice(value: Value, start: Value, stop: Value, step: Value, budget: Budget): Value {
  if (value instanceof Undefined) throw value.error();
  if (!Array.isArray(value) && !(value instanceof Tuple) && !(value instanceof TemplateText)) {
    return new Undefined(`${shownType(value)} cannot be sliced`);
  }
  const by = bound(step) ?? 1;
  if (by === 0) throw new TemplateError("slice step cannot be zero");
  const length = Number(lengthOf(value));
  const [least, most] = by > 0 ? [0, length] : [-1, length - 1];
  const place = (index: number | undefined, missing: number) =>
    index === undefined ? missing : Math.min(Math.max(index < 0 ? index + length : index, least), most);
  const end = place(bound(stop), by > 0 ? length : -1);
  const begin = place(bound(start), by > 0 ? 0 : length - 1);
  if (value instanceof TemplateText && by === 1) return value.sliceCharacters(begin, end);
  const items = itemsOf(value);
  const taken: Value[] = [];
  for (let i = begin; by > 0 ? i < end : i > end; i += by) taken.push(items[i]);
  budget.spendSteps(taken.length);
  if (value instanceof TemplateText) return TemplateText.join(taken as TemplateText[], value.isSafe);
  return Array.isArray(value) ? taken : new Tuple(taken);
}

function bound(value: Value): number | undefined {
  if (value === null) return undefined;
  if (value instanceof Undefined) throw value.error();
  if (typeof value === "bigint" || typeof value === "boolean") return Number(value);
  throw new TemplateError("slice indices must be integers or None or have an __index__ method");
}
