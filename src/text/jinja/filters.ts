/** @file Jinja's filters, and transformers' own `tojson`. */

import { Arguments } from "./arguments.ts";
import { attribute, item } from "./attributes.ts";
import type { Budget } from "./budget.ts";
import { capitalize, center, join, replace } from "./methods.ts";
import { compare, format, operate } from "./operators.ts";
import { json, type JsonStyle, str } from "./python_text.ts";
import { TemplateText } from "./template_text.ts";
import { holds } from "./tests.ts";
import {
  areEqual,
  asNumber,
  Dict,
  isNumber,
  isTrue,
  itemsOf,
  lengthOf,
  TemplateError,
  text,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

type Filter = (value: Value, args: Arguments, budget: Budget) => Value;

/** The value after a filter. @throws {TemplateError} when there is no such filter, or the value does not suit it */
export function applyFilter(name: string, value: Value, args: Arguments, budget: Budget): Value {
  if (!Object.hasOwn(FILTERS, name)) throw new TemplateError(`No filter named '${name}'.`);
  return FILTERS[name](value, args, budget);
}

const FILTERS: Readonly<Record<string, Filter>> = {
  abs: (value) => {
    const number = numberOf(value);
    return number < 0 ? -number : number;
  },
  attr: (value, args, budget) => attribute(value, args.text(0, "name").value, budget),
  batch: (value, args) => batch(itemsOf(value), Number(args.integer(0, "linecount", 1n)), args.get(1, "fill_with")),
  capitalize: (value) => capitalize(str(value)),
  center: (value, args) => center(str(value), args),
  count: lengthOf,
  length: lengthOf,
  d: defaultValue,
  default: defaultValue,
  dictsort: (value, args) => dictSort(value, args),
  e: escape,
  escape,
  forceescape: (value) => TemplateText.join([str(value)]).escape(),
  first: (value) => orUndefined(itemsOf(value)[0], "No first item, sequence was empty."),
  last: (value) => orUndefined(itemsOf(value).at(-1), "No last item, sequence was empty."),
  float: (value, args) => toFloat(value, args.valueOr(0, "default", 0)),
  format: (value, args) => format(str(value), args.named.size > 0 ? namedArguments(args) : new Tuple(args.positional)),
  groupby: (value, args, budget) => groupBy(itemsOf(value), args, budget),
  indent: (value, args) => indent(str(value), args),
  int: (value, args) => toInteger(value, args.valueOr(0, "default", 0n), Number(args.integer(1, "base", 10n))),
  items: (value) => {
    if (value instanceof Undefined) return [];
    if (!(value instanceof Dict)) throw new TemplateError("Can only get item pairs from a mapping.");
    return value.entries().map((entry) => new Tuple(entry));
  },
  join: (value, args, budget) => {
    const path = args.get(1, "attribute");
    const items = path === undefined ? itemsOf(value) : itemsOf(value).map((each) => follow(each, path, budget));
    return join(items, str(args.get(0, "d") ?? text("")), budget);
  },
  list: (value) => [...itemsOf(value)],
  lower: (value) => str(value).mapCharacters((value) => value.toLowerCase()),
  upper: (value) => str(value).mapCharacters((value) => value.toUpperCase()),
  map: (value, args, budget) => !isTrue(value) ? [] : itemsOf(value).map(mapping(args, budget)),
  max: (value, args, budget) => extreme(value, args, budget, 1),
  min: (value, args, budget) => extreme(value, args, budget, -1),
  reject: (value, args, budget) => select(value, args, budget, false),
  rejectattr: (value, args, budget) => selectByAttribute(value, args, budget, false),
  select: (value, args, budget) => select(value, args, budget, true),
  selectattr: (value, args, budget) => selectByAttribute(value, args, budget, true),
  replace: (value, args, budget) =>
    replace(
      str(value),
      str(args.get(0, "old") ?? null),
      str(args.get(1, "new") ?? null),
      args.integer(2, "count", -1n),
      budget,
    ),
  reverse: (value) => {
    const items = itemsOf(value).toReversed();
    return value instanceof TemplateText ? TemplateText.join(items as TemplateText[]) : items;
  },
  round: (value, args) =>
    round(numberOf(value), Number(args.integer(0, "precision", 0n)), args.text(1, "method", "common").value),
  safe: (value) => TemplateText.join([str(value)], true),
  sort: (value, args, budget) => sort(itemsOf(value), args, budget),
  string: str,
  sum: (value, args, budget) => {
    const path = args.get(0, "attribute");
    return itemsOf(value).map((each) => path === undefined || path === null ? each : follow(each, path, budget))
      .reduce((sum, each) => operate("+", sum, each, budget), args.valueOr(1, "start", 0n));
  },
  title: (value) => titleCase(str(value)),
  tojson: (value, args) => json(value, jsonStyle(args)),
  trim: (value, args) => {
    const characters = args.get(0, "chars") ?? null;
    return str(value).trim(characters === null ? undefined : str(characters).value);
  },
  truncate: (value, args) => truncate(str(value), args),
  unique: (value, args, budget) => unique(itemsOf(value), args, budget),
  urlencode: (value) => {
    const encoded = encodeURIComponent(str(value).value).replace(/[!'()*]/g, percent).replaceAll("%2F", "/");
    return str(value).derive(encoded);
  },
  wordcount: (value) => BigInt(str(value).value.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
};

function orUndefined(value: Value | undefined, problem: string): Value {
  return value === undefined ? new Undefined(problem) : value;
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

function defaultValue(value: Value, args: Arguments): Value {
  const replaces = value instanceof Undefined || (isTrue(args.get(1, "boolean") ?? false) && !isTrue(value));
  return replaces ? args.valueOr(0, "default_value", text("")) : value;
}

function escape(value: Value): Value {
  return str(value).escape();
}

function numberOf(value: Value): bigint | number {
  if (value instanceof Undefined) throw value.error();
  if (isNumber(value)) return asNumber(value);
  throw new TemplateError(`a number is required, not ${typeName(value)}`);
}

function toInteger(value: Value, missing: Value, base: number): Value {
  if (typeof value === "bigint") return value;
  if (typeof value === "boolean") return BigInt(value);
  if (typeof value === "number") return Number.isFinite(value) ? BigInt(Math.trunc(value)) : missing;
  if (!(value instanceof TemplateText)) return missing;
  const digits = value.trim().value.replaceAll("_", "");
  if (base === 10 && /^[+-]?\d+$/.test(digits)) return BigInt(digits.replace("+", ""));
  if (base !== 10) {
    const parsed = parseInt(digits, base);
    return Number.isNaN(parsed) ? missing : BigInt(parsed);
  }
  const float = toFloat(value, NaN);
  return typeof float === "number" && Number.isFinite(float) ? BigInt(Math.trunc(float)) : missing;
}

function toFloat(value: Value, missing: Value): Value {
  if (isNumber(value)) return Number(value);
  if (!(value instanceof TemplateText)) return missing;
  const digits = value.trim().value;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(digits) ? Number(digits) : missing;
}

function round(value: bigint | number, precision: number, method: string): bigint | number {
  if (typeof value === "bigint" && method === "common") return value;
  const number = Number(value);
  const scale = 10 ** precision;
  if (method === "ceil") return Math.ceil(number * scale) / scale;
  if (method === "floor") return Math.floor(number * scale) / scale;
  const scaled = number * scale;
  // Python rounds half to even.
  const rounded = Math.abs(scaled % 1) === 0.5 ? 2 * Math.round(scaled / 2) : Math.round(scaled);
  return rounded / scale;
}

function titleCase(value: TemplateText): TemplateText {
  return value.mapCharacters((all) =>
    all.replace(/[^-\s({[<]+/g, (word) => {
      const [first] = word;
      return first.toUpperCase() + word.slice(first.length).toLowerCase();
    })
  );
}

function indent(value: TemplateText, args: Arguments): TemplateText {
  const width = args.get(0, "width") ?? 4n;
  const margin = width instanceof TemplateText ? width : text(" ".repeat(Math.min(Number(numberOf(width)), 1000)));
  const first = isTrue(args.get(1, "first") ?? false);
  const blank = isTrue(args.get(2, "blank") ?? false);
  return TemplateText.join(
    value.split("\n").flatMap((line, i) => {
      const indented = i === 0 ? first : blank || line.value !== "";
      return [...i > 0 ? [text("\n")] : [], ...indented ? [margin] : [], line];
    }),
  );
}

function truncate(value: TemplateText, args: Arguments): TemplateText {
  const length = Number(args.integer(0, "length", 255n));
  const kill = isTrue(args.get(1, "killwords") ?? false);
  const end = args.text(2, "end", "...");
  const leeway = Number(args.integer(3, "leeway", 5n));
  if (value.length <= length + leeway) return value;
  const cut = value.sliceCharacters(0, Math.max(0, length - end.length));
  const space = cut.value.lastIndexOf(" ");
  return TemplateText.join([kill || space < 0 ? cut : cut.slice(0, space), end]);
}

function jsonStyle(args: Arguments): JsonStyle {
  const indent = args.get(1, "indent") ?? null;
  const separators = args.get(2, "separators") ?? null;
  const [itemSeparator, keySeparator] = separators === null ? [] : itemsOf(separators).map((each) => str(each).value);
  return {
    ensureAscii: isTrue(args.get(0, "ensure_ascii") ?? false),
    indent: indent === null
      ? undefined
      : indent instanceof TemplateText
      ? indent.value
      : " ".repeat(Math.min(Number(numberOf(indent)), 100)),
    itemSeparator,
    keySeparator,
    sortKeys: isTrue(args.get(3, "sort_keys") ?? false),
  };
}

function batch(items: readonly Value[], size: number, filler: Value | undefined): Value {
  const rows: Value[][] = [];
  for (let at = 0; at < items.length; at += Math.max(1, size)) rows.push(items.slice(at, at + Math.max(1, size)));
  const last = rows.at(-1);
  while (filler !== undefined && last !== undefined && last.length < size) last.push(filler);
  return rows;
}

function namedArguments(args: Arguments): Dict {
  return new Dict([...args.named].map(([name, value]) => [text(name), value]));
}

/** What `attribute="a.0.b"` leads to. */
function follow(value: Value, path: Value, budget: Budget): Value {
  const parts = path instanceof TemplateText
    ? path.value.split(".").map((part) => /^\d+$/.test(part) ? BigInt(part) : text(part))
    : [path];
  return parts.reduce<Value>((found, part) => item(found, part, budget), value);
}

function mapping(args: Arguments, budget: Budget): (value: Value) => Value {
  const path = args.named.get("attribute");
  if (path !== undefined) {
    const missing = args.named.get("default");
    return (value) => {
      const found = follow(value, path, budget);
      return found instanceof Undefined && missing !== undefined ? missing : found;
    };
  }
  const name = args.text(0, "filter").value;
  const rest = new Arguments(args.positional.slice(1), args.named);
  return (value) => applyFilter(name, value, rest, budget);
}

function select(value: Value, args: Arguments, budget: Budget, keep: boolean): Value {
  if (!isTrue(value)) return [];
  const items = itemsOf(value);
  budget.spendSteps(items.length);
  if (args.positional.length === 0) return items.filter((each) => isTrue(each) === keep);
  const name = args.text(0, "test").value;
  return items.filter((each) => holds(name, each, args.positional.slice(1)) === keep);
}

function selectByAttribute(value: Value, args: Arguments, budget: Budget, keep: boolean): Value {
  if (!isTrue(value)) return [];
  const items = itemsOf(value);
  budget.spendSteps(items.length);
  const path = args.positional[0] ?? null;
  const name = args.positional.length < 2 ? undefined : args.text(1, "test").value;
  return items.filter((each) => {
    const found = follow(each, path, budget);
    return (name === undefined ? isTrue(found) : holds(name, found, args.positional.slice(2))) === keep;
  });
}

/** What items are compared by: an attribute, or themselves, texts in lower case unless case matters. */
function sortKey(args: Arguments, budget: Budget, casePlace: number, attributePlace: number): (value: Value) => Value {
  const caseMatters = isTrue(args.get(casePlace, "case_sensitive") ?? false);
  const path = args.get(attributePlace, "attribute") ?? null;
  return (value) => {
    const found = path === null ? value : follow(value, path, budget);
    return found instanceof TemplateText && !caseMatters ? text(found.value.toLowerCase()) : found;
  };
}

function sort(items: readonly Value[], args: Arguments, budget: Budget): Value {
  const key = sortKey(args, budget, 1, 2);
  const sign = isTrue(args.get(0, "reverse") ?? false) ? -1 : 1;
  budget.spendSteps(items.length);
  return items.map((each) => [key(each), each] as const).sort(([a], [b]) => sign * compare(a, b)).map(([, each]) =>
    each
  );
}

function unique(items: readonly Value[], args: Arguments, budget: Budget): Value {
  const key = sortKey(args, budget, 0, 1);
  const seen = new Dict();
  return items.filter((each) => {
    const id = key(each);
    if (seen.has(id)) return false;
    seen.set(id, null);
    return true;
  });
}

function extreme(value: Value, args: Arguments, budget: Budget, sign: 1 | -1): Value {
  const items = itemsOf(value);
  const key = sortKey(args, budget, 0, 1);
  if (items.length === 0) return new Undefined("No aggregated item, sequence was empty.");
  return items.reduce((best, each) => sign * compare(key(each), key(best)) > 0 ? each : best);
}

function groupBy(items: readonly Value[], args: Arguments, budget: Budget): Value {
  const path = args.get(0, "attribute") ?? null;
  const groups: { key: Value; items: Value[] }[] = [];
  const sorted = items.map((each) => ({ key: follow(each, path, budget), each }));
  sorted.sort((a, b) => compare(a.key, b.key));
  for (const { key, each } of sorted) {
    const last = groups.at(-1);
    if (last !== undefined && areEqual(last.key, key)) last.items.push(each);
    else groups.push({ key, items: [each] });
  }
  return groups.map(({ key, items }) => new Tuple([key, items]));
}

function dictSort(value: Value, args: Arguments): Value {
  if (!(value instanceof Dict)) throw new TemplateError("dictsort needs a mapping");
  const caseMatters = isTrue(args.get(0, "case_sensitive") ?? false);
  const place = args.text(1, "by", "key").value === "value" ? 1 : 0;
  const sign = isTrue(args.get(2, "reverse") ?? false) ? -1 : 1;
  const key = (each: Value) => each instanceof TemplateText && !caseMatters ? text(each.value.toLowerCase()) : each;
  return value.entries().sort((a, b) => sign * compare(key(a[place]), key(b[place]))).map((entry) => new Tuple(entry));
}
