/** @file The functions that templates find: Jinja's own, and those that transformers adds. */

import { Arguments } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { str } from "./python_text.ts";
import { Dict, itemsOf, Namespace, TemplateError, type TemplateFunction, text, Tuple, type Value } from "./values.ts";

/** `raise_exception(...)`: the template refuses the conversation. */
export class RaisedByTemplate extends TemplateError {
  override name = "RaisedByTemplate";
}

export function globals(budget: Budget): [string, Value][] {
  const functions: Record<string, TemplateFunction> = {
    range: (positional) => {
      const bounds = positional.map((_, i) => new Arguments(positional).integer(i, "range() argument", 0n));
      return bounds.length < 2
        ? budget.range(0n, bounds[0] ?? 0n, 1n)
        : budget.range(bounds[0], bounds[1], bounds[2] ?? 1n);
    },
    raise_exception: ([message = null]) => {
      throw new RaisedByTemplate(str(message).value);
    },
    strftime_now: ([format = null]) => text(formatTime(new Date(), str(format).value)),
    namespace: (positional, named) => {
      const namespace = new Namespace();
      for (const [key, value] of dict(positional, named).entries()) namespace.set(str(key).value, value);
      return namespace;
    },
    dict,
    joiner: ([separator = text(", ")]) => {
      let used = false;
      return () => {
        if (used) return separator;
        used = true;
        return text("");
      };
    },
    cycler: (items) => {
      let at = 0;
      const cycler = new Namespace();
      cycler.set("next", () => items[at++ % items.length]);
      cycler.set("reset", () => {
        at = 0;
        return null;
      });
      return cycler;
    },
  };
  return Object.entries(functions);
}

function dict(positional: readonly Value[], named: ReadonlyMap<string, Value>): Dict {
  const [first] = positional;
  const given = first instanceof Dict ? first.entries() : first === undefined ? [] : itemsOf(first).map(pair);
  return new Dict([...given, ...[...named].map(([name, value]) => [text(name), value] as const)]);
}

function pair(value: Value): readonly [Value, Value] {
  const items = Array.isArray(value) || value instanceof Tuple ? itemsOf(value) : [];
  if (items.length === 2) return [items[0], items[1]];
  throw new TemplateError("dictionary update sequence element needs a length of 2");
}

const MONTHS = "January February March April May June July August September October November December".split(" ");
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Python's `strftime` in its C locale, in local time. */
function formatTime(time: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const hour12 = time.getHours() % 12 || 12;
  const fields: Record<string, string> = {
    Y: String(time.getFullYear()),
    y: two(time.getFullYear() % 100),
    m: two(time.getMonth() + 1),
    d: two(time.getDate()),
    e: String(time.getDate()).padStart(2),
    B: MONTHS[time.getMonth()],
    b: MONTHS[time.getMonth()].slice(0, 3),
    A: DAYS[time.getDay()],
    a: DAYS[time.getDay()].slice(0, 3),
    H: two(time.getHours()),
    I: two(hour12),
    M: two(time.getMinutes()),
    S: two(time.getSeconds()),
    p: time.getHours() < 12 ? "AM" : "PM",
    "%": "%",
  };
  fields.F = `${fields.Y}-${fields.m}-${fields.d}`;
  fields.T = `${fields.H}:${fields.M}:${fields.S}`;
  return format.replace(/%(-?)([a-zA-Z%])/g, (all, minus, field) => {
    const shown = fields[field];
    return shown === undefined ? all : minus === "" ? shown : shown.replace(/^0(?=.)/, "");
  });
}
