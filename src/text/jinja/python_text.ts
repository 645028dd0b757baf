/** @file Values as Python prints them: `str`, `repr` and `json.dumps`. */

import { TemplateText } from "./template_text.ts";
import { Dict, Namespace, TemplateError, text, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** `str(value)`, which is what `{{ value }}` prints. */
export function str(value: Value): TemplateText {
  if (value instanceof TemplateText) return value;
  return value instanceof Undefined ? text("") : repr(value);
}

/** `repr(value)`. */
export function repr(value: Value): TemplateText {
  if (value === null) return text("None");
  if (typeof value === "boolean") return text(value ? "True" : "False");
  if (typeof value === "bigint") return text(String(value));
  if (typeof value === "number") return text(floatRepr(value));
  if (value instanceof TemplateText) return value.derive(quoted(value.value));
  if (Array.isArray(value)) return listed("[", value.map(repr), "]");
  if (value instanceof Tuple) return listed("(", value.items.map(repr), value.items.length === 1 ? ",)" : ")");
  if (value instanceof Dict) {
    return listed(
      "{",
      value.entries().map(([key, item]) => TemplateText.join([repr(key), text(": "), repr(item)])),
      "}",
    );
  }
  return text(value instanceof Undefined ? "Undefined" : value instanceof Namespace ? "<Namespace>" : "<function>");
}

function listed(open: string, items: readonly TemplateText[], close: string): TemplateText {
  return TemplateText.join([
    text(open),
    ...items.flatMap((item, i) => i === 0 ? [item] : [text(", "), item]),
    text(close),
  ]);
}

/** The shortest decimal that is the same number, in Python's notation. */
export function floatRepr(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const [mantissa, exponent] = value.toExponential().split("e");
  const power = Number(exponent);
  // Python goes over to exponents earlier than JavaScript, and writes them with two digits.
  if (value !== 0 && (power < -4 || power >= 16)) {
    return `${mantissa}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  const plain = String(value);
  if (plain.includes("e")) return Number(value).toFixed(Math.max(1, digitsAfterPoint(mantissa) - power));
  return plain.includes(".") ? plain : `${plain}.0`;
}

function digitsAfterPoint(mantissa: string): number {
  return mantissa.includes(".") ? mantissa.length - mantissa.indexOf(".") - 1 : 0;
}

const NAMED_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

function quoted(value: string): string {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const escaped = value.replace(/[\\\p{C}\p{Z}]/gu, (character) => {
    if (character === " ") return character;
    const code = character.codePointAt(0)!;
    const hex = (digits: number) => code.toString(16).padStart(digits, "0");
    return NAMED_ESCAPES[character] ??
      (code < 0x100 ? `\\x${hex(2)}` : code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`);
  });
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

/** The arguments of Python's `json.dumps` that transformers' `tojson` takes. */
export interface JsonStyle {
  readonly ensureAscii?: boolean;
  /** What one level is indented by; undefined writes everything in one line. */
  readonly indent?: string;
  readonly itemSeparator?: string;
  readonly keySeparator?: string;
  readonly sortKeys?: boolean;
}

/** `json.dumps(value)`. @throws {TemplateError} for a value that JSON has no form for */
export function json(value: Value, style: JsonStyle = {}): TemplateText {
  const parts: string[] = [];
  const isMarked = writeJson(value, style, "\n", parts);
  return isMarked ? TemplateText.marked(parts.join("")) : text(parts.join(""));
}

/** Appends to `parts`; returns whether anything came from the client. `margin` starts the lines of this level. */
function writeJson(value: Value, style: JsonStyle, margin: string, parts: string[]): boolean {
  const { indent, keySeparator = ": ", itemSeparator = indent === undefined ? ", " : "," } = style;
  const write = (items: readonly (readonly [Value | undefined, Value])[], open: string, close: string): boolean => {
    let isMarked = false;
    const inner = indent === undefined ? "" : margin + indent;
    parts.push(open);
    items.forEach(([key, item], i) => {
      parts.push(i === 0 ? inner : itemSeparator + inner);
      if (key !== undefined) {
        if (key instanceof TemplateText && key.isMarked) isMarked = true;
        parts.push(jsonText(jsonKey(key), style), keySeparator);
      }
      if (writeJson(item, style, indent === undefined ? margin : inner, parts)) isMarked = true;
    });
    parts.push(indent === undefined || items.length === 0 ? close : margin + close);
    return isMarked;
  };
  if (value instanceof TemplateText) {
    parts.push(jsonText(value.value, style));
    return value.isMarked;
  }
  if (Array.isArray(value)) return write(value.map((item) => [undefined, item]), "[", "]");
  if (value instanceof Tuple) return write(value.items.map((item) => [undefined, item]), "[", "]");
  if (value instanceof Dict) {
    const entries = value.entries();
    if (style.sortKeys) entries.sort(([a], [b]) => compareCharacters(jsonKey(a), jsonKey(b)));
    return write(entries, "{", "}");
  }
  parts.push(jsonAtom(value));
  return false;
}

function jsonAtom(value: Value): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "number") throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`);
  if (Number.isNaN(value)) return "NaN";
  return Number.isFinite(value) ? floatRepr(value) : value > 0 ? "Infinity" : "-Infinity";
}

function jsonKey(key: Value): string {
  if (key instanceof TemplateText) return key.value;
  if (key instanceof Tuple || key instanceof Undefined) {
    throw new TemplateError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
  }
  return jsonAtom(key);
}

function jsonText(value: string, { ensureAscii = false }: JsonStyle): string {
  const quoted = JSON.stringify(value);
  if (!ensureAscii) return quoted;
  return quoted.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Python's order of texts: by code point, where JavaScript's is by UTF-16 unit. */
export function compareCharacters(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  // The second half of a pair is compared with its first.
  if (at > 0 && /[\udc00-\udfff]/.test((a[at] ?? "") + (b[at] ?? ""))) at--;
  return (a.codePointAt(at) ?? -1) - (b.codePointAt(at) ?? -1);
}
