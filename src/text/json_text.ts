/**
 * @file JSON whose numbers and order of keys survive.
 *
 * `JSON.parse` makes 1234567890123456789 another number, forgets the point of 1.0, and puts the key "2" behind "1". In prompts
 * all of that must stay as the client sent it.
 */

/** A number with a point or an exponent: 1.0 is not 1. */
export class JsonFloat {
  constructor(readonly value: number) {}
}

/** Numbers without a point or exponent are bigints; objects are maps in the order of their keys. */
export type JsonValue = null | boolean | bigint | JsonFloat | string | JsonValue[] | Map<string, JsonValue>;

/** Python refuses longer integers, too; reading them takes time that grows with the square of their length. */
const MAX_DIGITS = 4300;
const MAX_DEPTH = 500;

/** @throws {SyntaxError} when the text is not JSON, nests more than 500 levels deep, or has an integer of over 4300 digits */
export function parseJson(text: string): JsonValue {
  // The engine's own parser finds and words the mistakes: what follows can rely on a text without any.
  JSON.parse(text);
  return new Reader(text).value(0);
}

/**
 * The members of a JSON object, each as the text that it was written as, without parsing any.
 *
 * @param text a valid JSON object
 */
export function jsonMembers(text: string): Map<string, string> {
  return new Reader(text).members();
}

/** A value as JSON again, without white space. */
export function jsonText(value: JsonValue): string {
  if (typeof value === "bigint") return String(value);
  // A whole number shows its point.
  if (value instanceof JsonFloat) return Number.isInteger(value.value) ? value.value.toFixed(1) : String(value.value);
  if (Array.isArray(value)) return `[${value.map(jsonText).join(",")}]`;
  if (!(value instanceof Map)) return JSON.stringify(value);
  return `{${[...value].map(([key, inner]) => `${JSON.stringify(key)}:${jsonText(inner)}`).join(",")}}`;
}

/**
 * The items of a JSON array, each as the text that it was written as, without parsing any.
 *
 * @param text a valid JSON array
 */
export function jsonItems(text: string): string[] {
  return new Reader(text).items();
}

/** Walks through a valid JSON text. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): JsonValue {
    if (depth > MAX_DEPTH) throw new SyntaxError(`it nests more than ${MAX_DEPTH} levels deep`);
    switch (this.#next()) {
      case "{": {
        const entries = new Map<string, JsonValue>();
        this.#list("}", () => {
          const key = this.#string();
          this.#skip(":");
          entries.set(key, this.value(depth + 1));
        });
        return entries;
      }
      case "[": {
        const items: JsonValue[] = [];
        this.#list("]", () => items.push(this.value(depth + 1)));
        return items;
      }
      case '"':
        return this.#string();
      default:
        return this.#atom();
    }
  }

  members(): Map<string, string> {
    const members = new Map<string, string>();
    this.#next();
    this.#list("}", () => {
      const key = this.#string();
      this.#skip(":");
      members.set(key, this.#passed());
    });
    return members;
  }

  items(): string[] {
    const items: string[] = [];
    this.#next();
    this.#list("]", () => items.push(this.#passed()));
    return items;
  }

  /** Passes a value, and gives its text. */
  #passed(): string {
    this.#next();
    const start = this.#at;
    this.#pass();
    return this.#text.slice(start, this.#at);
  }

  /** Reads an object or array whose opening bracket comes next. */
  #list(close: string, readItem: () => void): void {
    this.#at++;
    while (this.#next() !== close) {
      if (this.#next() === ",") this.#at++;
      this.#next();
      readItem();
    }
    this.#at++;
  }

  /** The next character that is not white space; stays on it. */
  #next(): string {
    while (" \t\n\r".includes(this.#text[this.#at])) this.#at++;
    return this.#text[this.#at];
  }

  #skip(character: string): void {
    while (this.#text[this.#at++] !== character);
  }

  #string(): string {
    const start = this.#at;
    this.#passString();
    return JSON.parse(this.#text.slice(start, this.#at));
  }

  #passString(): void {
    do {
      this.#at = this.#text.indexOf('"', this.#at + 1);
    } while (this.#isEscaped());
    this.#at++;
  }

  #isEscaped(): boolean {
    let backslashes = 0;
    while (this.#text[this.#at - 1 - backslashes] === "\\") backslashes++;
    return backslashes % 2 === 1;
  }

  /** Passes a value of any kind, however deep. */
  #pass(): void {
    let depth = 0;
    do {
      const character = this.#next();
      if (character === '"') this.#passString();
      else if (character === "{" || character === "[") {
        depth++;
        this.#at++;
      } else if (character === "}" || character === "]") {
        depth--;
        this.#at++;
      } else if (character === "," || character === ":") this.#at++;
      else this.#atomText();
    } while (depth > 0);
  }

  #atomText(): string {
    const end = /[^\w.+-]|$/g;
    end.lastIndex = this.#at;
    const start = this.#at;
    this.#at = end.exec(this.#text)!.index;
    return this.#text.slice(start, this.#at);
  }

  #atom(): JsonValue {
    const atom = this.#atomText();
    if (!/^-?\d/.test(atom)) return JSON.parse(atom);
    if (!/^-?\d+$/.test(atom)) return new JsonFloat(Number(atom));
    if (atom.length > MAX_DIGITS) throw new SyntaxError(`it has an integer of ${atom.length} digits`);
    return BigInt(atom);
  }
}
