/** @file Methods of texts, lists and dictionaries that do not change them, as in Jinja's immutable sandbox. */

import { Arguments } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { concatenate, format } from "./operators.ts";
import { str } from "./python_text.ts";
import { TemplateText, WHITE_SPACE } from "./template_text.ts";
import {
  areEqual,
  Dict,
  itemsOf,
  TemplateError,
  type TemplateFunction,
  text,
  Tuple,
  typeName,
  type Value,
} from "./values.ts";

type Method<T> = (self: T, args: Arguments, budget: Budget) => Value;

/** The method of a value; undefined where it has none of this name. */
export function methodOf(value: Value, name: string, budget: Budget): TemplateFunction | undefined {
  const methods = value instanceof TemplateText
    ? TEXT_METHODS
    : value instanceof Dict
    ? DICT_METHODS
    : Array.isArray(value) || value instanceof Tuple
    ? LIST_METHODS
    : {};
  if (!Object.hasOwn(methods, name)) return undefined;
  const method = (methods as Record<string, Method<Value>>)[name];
  return (positional, named) => method(value, new Arguments(positional, named), budget);
}

const DICT_METHODS: Readonly<Record<string, Method<Dict>>> = {
  get: (self, args) => {
    const found = self.get(args.positional[0] ?? null);
    return found === undefined ? args.valueOr(1, "default", null) : found;
  },
  items: (self) => self.entries().map((entry) => new Tuple(entry)),
  keys: (self) => self.keys(),
  values: (self) => self.values(),
  copy: (self) => new Dict(self.entries()),
};

const LIST_METHODS: Readonly<Record<string, Method<Value[] | Tuple>>> = {
  index: (self, args) => {
    const at = itemsOf(self).findIndex((item) => areEqual(item, args.positional[0]));
    if (at < 0) throw new TemplateError("value is not in list");
    return BigInt(at);
  },
  count: (self, args) => BigInt(itemsOf(self).filter((item) => areEqual(item, args.positional[0])).length),
  copy: (self) => [...itemsOf(self)],
};

/** Whether all characters, at least one, are of a kind. */
const consistsOf = (kind: RegExp): Method<TemplateText> => (self) => kind.test(self.value);

const TEXT_METHODS: Readonly<Record<string, Method<TemplateText>>> = {
  upper: (self) => self.mapCharacters((value) => value.toUpperCase()),
  lower: (self) => self.mapCharacters((value) => value.toLowerCase()),
  casefold: (self) => self.mapCharacters((value) => value.toLowerCase()),
  swapcase: (self) =>
    self.mapCharacters((value) =>
      value.replace(/\p{Lu}|\p{Ll}/gu, (letter) => {
        const lower = letter.toLowerCase();
        return lower === letter ? letter.toUpperCase() : lower;
      })
    ),
  capitalize,
  title: (self) => self.mapCharacters((value) => value.replace(/\p{L}+/gu, capitalized)),
  strip: (self, args) => self.trim(characters(args)),
  lstrip: (self, args) => self.trim(characters(args), { end: false }),
  rstrip: (self, args) => self.trim(characters(args), { start: false }),
  startswith: (self, args) => affixes(args).some((affix) => self.value.startsWith(affix)),
  endswith: (self, args) => affixes(args).some((affix) => self.value.endsWith(affix)),
  removeprefix: (self, args) => {
    const { value } = args.text(0, "prefix");
    return self.value.startsWith(value) ? self.slice(value.length) : self;
  },
  removesuffix: (self, args) => {
    const { value } = args.text(0, "suffix");
    return value !== "" && self.value.endsWith(value) ? self.slice(0, self.value.length - value.length) : self;
  },
  split: (self, args, budget) => counted(split(self, args), budget),
  rsplit: (self, args, budget) => counted(rsplit(self, args), budget),
  splitlines: (self, args, budget) => counted(splitLines(self, args.get(0, "keepends") === true), budget),
  partition: (self, args) => {
    const separator = args.text(0, "sep");
    const at = self.value.indexOf(separator.value);
    return at < 0 ? new Tuple([self, text(""), text("")]) : cutAt(self, at, separator.value.length);
  },
  rpartition: (self, args) => {
    const separator = args.text(0, "sep");
    const at = self.value.lastIndexOf(separator.value);
    return at < 0 ? new Tuple([text(""), text(""), self]) : cutAt(self, at, separator.value.length);
  },
  replace: (self, args, budget) =>
    replace(self, args.text(0, "old"), args.text(1, "new"), args.integer(2, "count", -1n), budget),
  join: (self, args, budget) => join(itemsOf(args.positional[0] ?? null), self, budget),
  find: (self, args) => characterIndex(self, self.value.indexOf(args.text(0, "sub").value)),
  rfind: (self, args) => characterIndex(self, self.value.lastIndexOf(args.text(0, "sub").value)),
  index: (self, args) => {
    const at = self.value.indexOf(args.text(0, "sub").value);
    if (at < 0) throw new TemplateError("substring not found");
    return characterIndex(self, at);
  },
  count: (self, args) => {
    const { value } = args.text(0, "sub");
    return value === "" ? BigInt(self.length + 1) : BigInt(self.value.split(value).length - 1);
  },
  format: (self, args) => formatBraces(self, args),
  zfill: (self, args) => {
    const sign = /^[+-]/.test(self.value) ? 1 : 0;
    return TemplateText.join([self.slice(0, sign), padding(self, args, "0"), self.slice(sign)]);
  },
  ljust: (self, args) => TemplateText.join([self, padding(self, args)]),
  rjust: (self, args) => TemplateText.join([padding(self, args), self]),
  center: (self, args) => center(self, args),
  isdigit: consistsOf(/^[\p{Nd}\p{No}]+$/u),
  isdecimal: consistsOf(/^\p{Nd}+$/u),
  isnumeric: consistsOf(/^\p{N}+$/u),
  isalpha: consistsOf(/^\p{L}+$/u),
  isalnum: consistsOf(/^[\p{L}\p{N}]+$/u),
  isspace: (self) => self.value !== "" && self.trim().value === "",
  isupper: (self) => self.value === self.value.toUpperCase() && self.value !== self.value.toLowerCase(),
  islower: (self) => self.value === self.value.toLowerCase() && self.value !== self.value.toUpperCase(),
};

function counted(parts: TemplateText[], budget: Budget): TemplateText[] {
  budget.spendSteps(parts.length);
  return parts;
}

function capitalized(word: string): string {
  const [first = ""] = word;
  return first.toUpperCase() + word.slice(first.length).toLowerCase();
}

export function capitalize(value: TemplateText): TemplateText {
  return value.mapCharacters(capitalized);
}

function characters(args: Arguments): string | undefined {
  const value = args.get(0, "chars") ?? null;
  return value === null ? undefined : args.text(0, "chars").value;
}

function affixes(args: Arguments): string[] {
  const [value = null] = args.positional;
  return (value instanceof Tuple ? value.items : [value]).map((affix) => {
    if (affix instanceof TemplateText) return affix.value;
    throw new TemplateError(`first arg must be str or a tuple of str, not ${typeName(affix)}`);
  });
}

function cutAt(value: TemplateText, at: number, length: number): Tuple {
  return new Tuple([value.slice(0, at), value.slice(at, at + length), value.slice(at + length)]);
}

function characterIndex(value: TemplateText, at: number): bigint {
  return BigInt(at < 0 ? at : value.slice(0, at).length);
}

function separatorOf(args: Arguments): string | undefined {
  if ((args.get(0, "sep") ?? null) === null) return undefined;
  const { value } = args.text(0, "sep");
  if (value === "") throw new TemplateError("empty separator");
  return value;
}

function limitOf(args: Arguments): number {
  const limit = args.integer(1, "maxsplit", -1n);
  return limit < 0n ? Infinity : Number(limit);
}

function split(self: TemplateText, args: Arguments): TemplateText[] {
  const separator = separatorOf(args);
  const limit = limitOf(args);
  if (separator !== undefined) return self.split(separator, limit);
  const words: TemplateText[] = [];
  for (let rest = self.trim(undefined, { end: false }); rest.value !== "";) {
    const end = words.length < limit ? rest.value.search(WHITE_SPACE) : -1;
    words.push(end < 0 ? rest : rest.slice(0, end));
    rest = end < 0 ? text("") : rest.slice(end).trim(undefined, { end: false });
  }
  return words;
}

function rsplit(self: TemplateText, args: Arguments): TemplateText[] {
  const separator = separatorOf(args);
  const limit = limitOf(args);
  const parts: TemplateText[] = [];
  if (separator === undefined) {
    let rest = self.trim(undefined, { start: false });
    while (rest.value !== "") {
      let start = rest.value.length;
      while (parts.length < limit && start > 0 && !WHITE_SPACE.test(rest.value[start - 1])) start--;
      if (parts.length >= limit) start = 0;
      parts.unshift(rest.slice(start));
      rest = rest.slice(0, start).trim(undefined, { start: false });
    }
    return parts;
  }
  let end = self.value.length;
  while (parts.length < limit) {
    const at = self.value.slice(0, end).lastIndexOf(separator);
    if (at < 0) break;
    parts.unshift(self.slice(at + separator.length, end));
    end = at;
  }
  return [self.slice(0, end), ...parts];
}

function splitLines(self: TemplateText, keepEnds: boolean): TemplateText[] {
  const lines: TemplateText[] = [];
  let start = 0;
  // deno-lint-ignore no-control-regex -- Python's line ends
  for (const match of self.value.matchAll(/\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g)) {
    const end = match.index + match[0].length;
    lines.push(self.slice(start, keepEnds ? end : match.index));
    start = end;
  }
  if (start < self.value.length) lines.push(self.slice(start));
  return lines;
}

/** Replaces the first `count` occurrences, all of them where it is negative. */
export function replace(
  self: TemplateText,
  old: TemplateText,
  by: TemplateText,
  count: bigint,
  budget: Budget,
): TemplateText {
  const limit = count < 0n ? Infinity : Number(count);
  if (old.value === "") {
    const between = self.characters().flatMap((character, i) => i < limit ? [by, character] : [character]);
    return concatenate(limit > self.length ? [...between, by] : between, budget);
  }
  return join(self.split(old.value, limit), by, budget);
}

/** The items as text with `separator` between them. */
export function join(items: readonly Value[], separator: TemplateText, budget: Budget): TemplateText {
  return concatenate(items.flatMap((item, i) => i === 0 ? [str(item)] : [separator, str(item)]), budget);
}

/** Widths beyond are those of no prompt. */
const MAX_WIDTH = 10_000;

function padding(self: TemplateText, args: Arguments, missing = " "): TemplateText {
  const width = Math.min(Number(args.integer(0, "width", 0n)), MAX_WIDTH);
  return text(args.text(1, "fillchar", missing).value.repeat(Math.max(0, width - self.length)));
}

export function center(self: TemplateText, args: Arguments): TemplateText {
  const width = Math.min(Number(args.integer(0, "width", 80n)), MAX_WIDTH);
  const missing = Math.max(0, width - self.length);
  // Python puts the odd one to the left where the width is odd.
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return TemplateText.join([text(" ".repeat(left)), self, text(" ".repeat(missing - left))]);
}

/** `"{} {0} {name:>5} {:.2f}".format(...)`: fields without attributes, specifications of texts and numbers. */
function formatBraces(self: TemplateText, args: Arguments): TemplateText {
  const parts: TemplateText[] = [];
  let end = 0;
  let next = 0;
  for (const match of self.value.matchAll(/\{\{|\}\}|\{([^{}]*)\}/g)) {
    parts.push(self.slice(end, match.index));
    end = match.index + match[0].length;
    if (match[1] === undefined) {
      parts.push(text(match[0][0]));
      continue;
    }
    const [, name, specification = ""] = /^(\w*)(?::(.*))?$/.exec(match[1]) ?? [];
    if (name === undefined) throw new TemplateError(`format fields such as {${match[1]}} are not supported`);
    const value = name === ""
      ? args.positional[next++]
      : /^\d+$/.test(name)
      ? args.positional[Number(name)]
      : args.named.get(name);
    if (value === undefined) throw new TemplateError("Replacement index out of range for positional args tuple");
    parts.push(specification === "" ? str(value) : formatted(value, specification));
  }
  return TemplateText.join([...parts, self.slice(end)]);
}

function formatted(value: Value, specification: string): TemplateText {
  const [, align, zero = "", width = "", precision = "", type] =
    /^([<>^]?)(0?)(\d*)((?:\.\d+)?)([sdfxX]?)$/.exec(specification) ?? [];
  if (align === undefined) throw new TemplateError(`the format specification ${specification} is not supported`);
  const isText = value instanceof TemplateText;
  if (align === "^" || (zero !== "" && align !== "")) {
    throw new TemplateError(`the format specification ${specification} is not supported`);
  }
  const side = align === "<" || (align === "" && isText) ? "-" : zero;
  const conversion = type || (precision !== "" && !isText ? "f" : "s");
  return format(text(`%${side}${width}${precision}${conversion}`), new Tuple([value]));
}
