/** @file Jinja's operators, with Python's rules for types. */

import type { Budget } from "./budget.ts";
import { compareCharacters, repr, str } from "./python_text.ts";
import { TemplateText } from "./template_text.ts";
import {
  areEqual,
  asNumber,
  Dict,
  isNumber,
  itemsOf,
  TemplateError,
  text,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Any operator but the lazy `and` and `or`. */
export function operate(operator: string, left: Value, right: Value, budget: Budget): Value {
  switch (operator) {
    case "==":
      return areEqual(left, right);
    case "!=":
      return !areEqual(left, right);
    case "in":
      return contains(right, left);
    case "not in":
      return !contains(right, left);
    case "~":
      return concatenate([str(left), str(right)], budget);
    case "<":
      return compare(left, right, operator) < 0;
    case "<=":
      return compare(left, right, operator) <= 0;
    case ">":
      return compare(left, right, operator) > 0;
    case ">=":
      return compare(left, right, operator) >= 0;
    default:
      return calculate(operator, left, right, budget);
  }
}

function contains(container: Value, item: Value): boolean {
  if (container instanceof TemplateText) {
    if (item instanceof TemplateText) return container.value.includes(item.value);
    if (item instanceof Undefined) throw item.error();
    throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Dict) return container.has(item);
  if (Array.isArray(container) || container instanceof Tuple || container instanceof Undefined) {
    return itemsOf(container).some((other) => areEqual(item, other));
  }
  throw new TemplateError(`argument of type '${typeName(container)}' is not iterable`);
}

/** Negative, zero or positive. @throws {TemplateError} for values that have no order */
export function compare(left: Value, right: Value, operator = "<"): number {
  if (left instanceof Undefined) throw left.error();
  if (right instanceof Undefined) throw right.error();
  if (isNumber(left) && isNumber(right)) {
    const a = asNumber(left), b = asNumber(right);
    return a < b ? -1 : a > b ? 1 : 0;
  }
  if (left instanceof TemplateText && right instanceof TemplateText) return compareCharacters(left.value, right.value);
  if ((Array.isArray(left) && Array.isArray(right)) || (left instanceof Tuple && right instanceof Tuple)) {
    const a = itemsOf(left), b = itemsOf(right);
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      if (!areEqual(a[i], b[i])) return compare(a[i], b[i], operator);
    }
    return a.length - b.length;
  }
  throw new TemplateError(
    `'${operator}' not supported between instances of '${typeName(left)}' and '${typeName(right)}'`,
  );
}

/** Puts texts together as they are. */
export function concatenate(parts: readonly TemplateText[], budget: Budget): TemplateText {
  budget.spendCharacters(parts.reduce((sum, part) => sum + part.value.length, 0));
  return TemplateText.join(parts);
}

/** `+`: what is put to Markup is escaped. (`~` escapes nothing.) */
function add(left: TemplateText, right: TemplateText, budget: Budget): TemplateText {
  if (!left.isSafe && !right.isSafe) return concatenate([left, right], budget);
  budget.spendCharacters(left.value.length + right.value.length);
  return TemplateText.join([left.escape(), right.escape()], true);
}

function calculate(operator: string, left: Value, right: Value, budget: Budget): Value {
  if (left instanceof Undefined) throw left.error();
  if (right instanceof Undefined) throw right.error();
  if (isNumber(left) && isNumber(right)) return arithmetic(operator, asNumber(left), asNumber(right), budget);
  if (operator === "%" && left instanceof TemplateText) return format(left, right);
  if (operator === "+") {
    if (left instanceof TemplateText && right instanceof TemplateText) return add(left, right, budget);
    if (Array.isArray(left) && Array.isArray(right)) {
      budget.spendSteps(left.length + right.length);
      return [...left, ...right];
    }
    if (left instanceof Tuple && right instanceof Tuple) return new Tuple([...left.items, ...right.items]);
    if (left instanceof TemplateText) {
      throw new TemplateError(`can only concatenate str (not "${typeName(right)}") to str`);
    }
  }
  if (operator === "*") {
    const [repeated, count] = typeof left === "bigint" ? [right, left] : [left, right];
    if (typeof count === "bigint") {
      const times = count < 0n ? 0n : count;
      if (repeated instanceof TemplateText) {
        budget.spendCharacters(Number(times) * repeated.value.length);
        return TemplateText.join(Array.from({ length: Number(times) }, () => repeated));
      }
      if (Array.isArray(repeated)) {
        budget.spendSteps(Number(times) * repeated.length);
        return Array.from({ length: Number(times) }, () => repeated).flat();
      }
    }
  }
  throw new TemplateError(
    `unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`,
  );
}

function arithmetic(operator: string, left: bigint | number, right: bigint | number, budget: Budget): bigint | number {
  if (["/", "//", "%"].includes(operator) && right == 0) throw new TemplateError("division by zero");
  if (typeof left === "bigint" && typeof right === "bigint") {
    switch (operator) {
      case "+":
        return budget.integer(left + right);
      case "-":
        return budget.integer(left - right);
      case "*":
        return budget.integer(left * right);
      case "/":
        return Number(left) / Number(right);
      case "//":
        return left / right - (left % right !== 0n && (left < 0n) !== (right < 0n) ? 1n : 0n);
      case "%":
        return ((left % right) + right) % right;
      case "**":
        if (right < 0n) return Number(left) ** Number(right);
        // No more than the limit can come of it: 2 ** 14285 has 4301 digits.
        return budget.integer(
          left === 0n || left === 1n || left === -1n || right < 15000n ? left ** right : 10n ** 4301n,
        );
    }
  }
  const a = Number(left), b = Number(right);
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "//":
      return Math.floor(a / b);
    case "%":
      return ((a % b) + b) % b;
    case "**":
      return a ** b;
    default:
      throw new TemplateError(`unknown operator ${operator}`);
  }
}

/** `template % values` with the conversions %s, %r, %d, %i, %f, %x and %%, flags, width and precision. */
export function format(template: TemplateText, values: Value): TemplateText {
  const left = values instanceof Tuple ? [...values.items] : [values];
  const named = values instanceof Dict ? values : undefined;
  const parts: TemplateText[] = [];
  let end = 0;
  for (const match of template.value.matchAll(/%(?:\((\w+)\))?([-0+ #]*)(\d*)(?:\.(\d+))?([srdifxX%])/g)) {
    const [all, name, flags, width, precision, conversion] = match;
    parts.push(template.slice(end, match.index));
    end = match.index + all.length;
    if (conversion === "%") {
      parts.push(text("%"));
      continue;
    }
    const value = name === undefined ? left.shift() : named?.get(text(name));
    if (value === undefined) throw new TemplateError("not enough arguments for format string");
    let shown = converted(value, conversion, precision === undefined ? undefined : Number(precision));
    if (flags.includes("+") && isNumber(value) && !shown.value.startsWith("-")) shown = text(`+${shown.value}`);
    const missing = Number(width) - shown.length;
    if (missing > 0) {
      const sign = flags.includes("0") && /^[+-]/.test(shown.value) ? 1 : 0;
      const padding = text((flags.includes("0") && isNumber(value) ? "0" : " ").repeat(Math.min(missing, 10_000)));
      shown = flags.includes("-")
        ? TemplateText.join([shown, text(" ".repeat(Math.min(missing, 10_000)))])
        : TemplateText.join([shown.slice(0, sign), padding, shown.slice(sign)]);
    }
    parts.push(shown);
  }
  if (left.length > 0 && named === undefined) {
    throw new TemplateError("not all arguments converted during string formatting");
  }
  return TemplateText.join([...parts, template.slice(end)]);
}

function converted(value: Value, conversion: string, precision: number | undefined): TemplateText {
  if (conversion === "s" || conversion === "r") {
    const shown = conversion === "s" ? str(value) : repr(value);
    return precision === undefined ? shown : TemplateText.join(shown.characters().slice(0, precision));
  }
  if (!isNumber(value)) {
    throw new TemplateError(`%${conversion} format: a real number is required, not ${typeName(value)}`);
  }
  const number = asNumber(value);
  if (conversion === "f") return text(Number(number).toFixed(Math.min(precision ?? 6, 100)));
  const whole = typeof number === "bigint" ? number : BigInt(Math.trunc(number));
  if (conversion === "x") return text(whole.toString(16));
  return text(conversion === "X" ? whole.toString(16).toUpperCase() : whole.toString());
}
