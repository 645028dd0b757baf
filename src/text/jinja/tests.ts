/** @file Jinja's tests, such as `x is none`. */

import { compare } from "./operators.ts";
import { TemplateText } from "./template_text.ts";
import { areEqual, asNumber, Dict, isNumber, itemsOf, TemplateError, Tuple, Undefined, type Value } from "./values.ts";

type Test = (value: Value, other: Value) => boolean;

const isText = (value: Value) => value instanceof TemplateText;
const isSequence = (value: Value) =>
  isText(value) || Array.isArray(value) || value instanceof Tuple || value instanceof Dict ||
  value instanceof Undefined;
const equals: Test = (value, other) => areEqual(value, other);
const hasCase = (value: Value, folded: (text: string) => string) =>
  value instanceof TemplateText && value.value === folded(value.value) &&
  value.value.toLowerCase() !== value.value.toUpperCase();

const TESTS: Readonly<Record<string, Test>> = {
  "boolean": (value) => typeof value === "boolean",
  "callable": (value) => typeof value === "function",
  "defined": (value) => !(value instanceof Undefined),
  "divisibleby": (value, other) => remainder(value, other) === 0,
  "escaped": (value) => value instanceof TemplateText && value.isSafe,
  "even": (value) => remainder(value, 2n) === 0,
  "odd": (value) => remainder(value, 2n) === 1,
  "false": (value) => value === false,
  "true": (value) => value === true,
  "float": (value) => typeof value === "number",
  "integer": (value) => typeof value === "bigint",
  "number": isNumber,
  "none": (value) => value === null,
  "undefined": (value) => value instanceof Undefined,
  "string": isText,
  "mapping": (value) => value instanceof Dict,
  "iterable": isSequence,
  "sequence": isSequence,
  "lower": (value) => hasCase(value, (text) => text.toLowerCase()),
  "upper": (value) => hasCase(value, (text) => text.toUpperCase()),
  "sameas": (value, other) => value === other || (isText(value) && isText(other) && areEqual(value, other)),
  "in": (value, other) =>
    other instanceof TemplateText && value instanceof TemplateText
      ? other.value.includes(value.value)
      : itemsOf(other).some((item) => areEqual(item, value)),
  "eq": equals,
  "==": equals,
  "equalto": equals,
  "ne": (value, other) => !areEqual(value, other),
  "!=": (value, other) => !areEqual(value, other),
  "lt": (value, other) => compare(value, other) < 0,
  "<": (value, other) => compare(value, other) < 0,
  "lessthan": (value, other) => compare(value, other) < 0,
  "le": (value, other) => compare(value, other) <= 0,
  "<=": (value, other) => compare(value, other) <= 0,
  "gt": (value, other) => compare(value, other, ">") > 0,
  ">": (value, other) => compare(value, other, ">") > 0,
  "greaterthan": (value, other) => compare(value, other, ">") > 0,
  "ge": (value, other) => compare(value, other, ">=") >= 0,
  ">=": (value, other) => compare(value, other, ">=") >= 0,
};

/** Whether a test holds. @throws {TemplateError} when there is no such test, or the values do not suit it */
export function holds(name: string, value: Value, args: readonly Value[]): boolean {
  if (!Object.hasOwn(TESTS, name)) throw new TemplateError(`No test named '${name}'.`);
  return TESTS[name](value, args[0] ?? null);
}

/** As in Python, never negative for a positive divisor. */
function remainder(value: Value, divisor: Value): number {
  if (value instanceof Undefined) throw value.error();
  if (!isNumber(value) || !isNumber(divisor)) {
    throw new TemplateError("not all arguments converted during string formatting");
  }
  const a = Number(asNumber(value)), b = Number(asNumber(divisor));
  if (b === 0) throw new TemplateError("integer modulo by zero");
  return ((a % b) + b) % b;
}
