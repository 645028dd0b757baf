/** @file Cuts a grammar that a client wrote into its words, see own_grammar.ts. */
import type { CharacterSet } from "./characters.ts";
import { UnsupportedGrammarError } from "./unsupported.ts";

const SIGNS = ["|", "(", ")", "[", "]", "*", "+", "?", "."] as const;
type Sign = typeof SIGNS[number];

/** A word of a grammar. */
export interface Token {
  /** `rule` is a name with what begins a rule behind it, `count` a `{1,3}` or `~1..3`. */
  readonly kind: Sign | "rule" | "name" | "string" | "class" | "pattern" | "count" | "end";
  /** As it was written, or what it stands for. */
  readonly text: string;
  readonly start: number;
  readonly ignoresCase?: boolean;
  readonly ranges?: CharacterSet;
  readonly negates?: boolean;
  readonly least?: number;
  readonly most?: number;
}

/** Of a dialect, how its words are written. */
interface Dialect {
  readonly blank: RegExp;
  /** A rule's name and what begins it. */
  readonly rule: RegExp;
  readonly count: RegExp;
  readonly signs: readonly Sign[];
  /** What is known and not supported, and why. */
  readonly refused: readonly (readonly [form: RegExp, reason: string])[];
}

const NAME = /[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*/y;
const DIALECTS: Readonly<Record<"ebnf" | "lark", Dialect>> = {
  ebnf: {
    blank: /(?:\s|#[^\n]*)*/y,
    rule: /([A-Za-z_][\w.-]*)\s*::=/y,
    count: /\{\s*(\d+)\s*(,\s*(\d*)\s*)?\}/y,
    signs: SIGNS.filter((sign) => sign !== "[" && sign !== "]"),
    refused: [[/\(\s*=/y, "a look ahead"]],
  },
  lark: {
    blank: /(?:\s|\/\/[^\n]*|#[^\n]*|->\s*\w+)*/y,
    rule: /[?!]*([A-Za-z_]\w*)(?:\.-?\d+)?\s*:/y,
    count: /~\s*(\d+)(\s*\.\.\s*(\d+))?/y,
    signs: SIGNS.filter((sign) => sign !== "."),
    refused: [
      [/%import\b[^\n]*/y, "an import: write the rule out"],
      [/%ignore\b[^\n]*/y, "text that is ignored: name it where it may come"],
      [/%\w+[^\n]*/y, "a directive"],
      [/\w+\{/y, "a template"],
    ],
  },
};

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", f: "\f", v: "\v", b: "\b", 0: "\0" };

/** The words of a grammar, one after the other. */
export class GrammarScanner {
  readonly #dialect: Dialect;
  #at = 0;
  #next: Token;

  /** @throws {UnsupportedGrammarError} as everything here does, where a word is none */
  constructor(readonly source: string, readonly name: "ebnf" | "lark") {
    this.#dialect = DIALECTS[name];
    this.#next = this.#scan();
  }

  /** The word that comes next. */
  get next(): Token {
    return this.#next;
  }

  /** Takes the next word, whatever it is. */
  advance(): Token {
    const token = this.#next;
    this.#next = this.#scan();
    return token;
  }

  /** Takes the next word if it is of a kind. */
  skip(kind: Token["kind"]): boolean {
    const is = this.#next.kind === kind;
    if (is) this.advance();
    return is;
  }

  /** Takes the next word, which must be of a kind. */
  take(kind: Token["kind"]): Token {
    if (this.#next.kind === kind) return this.advance();
    throw this.wrong(
      kind === "rule" ? `a rule, such as ${this.name === "ebnf" ? "root ::= ..." : "start: ..."}` : kind,
    );
  }

  /** The error that something else was expected than a word. */
  wrong(expected: string, { start, kind, text }: Token = this.#next): UnsupportedGrammarError {
    return this.#error(start, `expected ${expected}, but found ${kind === "end" ? "its end" : JSON.stringify(text)}`);
  }

  #error(start: number, message: string): UnsupportedGrammarError {
    const line = this.source.slice(0, start).split("\n").length;
    return new UnsupportedGrammarError(`line ${line} of the grammar: ${message}`);
  }

  /** Takes what a form matches here. */
  #match(form: RegExp): RegExpExecArray | null {
    form.lastIndex = this.#at;
    const match = form.exec(this.source);
    if (match !== null) this.#at = form.lastIndex;
    return match;
  }

  #scan(): Token {
    const { blank, rule, count, signs, refused } = this.#dialect;
    this.#match(blank);
    const start = this.#at;
    const character = this.source[start];
    if (character === undefined) return { kind: "end", text: "", start };
    for (const [form, reason] of refused) {
      const match = this.#match(form);
      if (match !== null) throw this.#error(start, `${match[0]} cannot be followed: it is ${reason}`);
    }
    const ruled = this.#match(rule);
    if (ruled !== null) return { kind: "rule", text: ruled[1], start };
    const named = this.#match(NAME);
    if (named !== null) return { kind: "name", text: named[0], start };
    const counted = this.#match(count);
    if (counted !== null) return { kind: "count", text: counted[0], start, ...this.#counts(counted, start) };
    const sign = signs.find((sign) => sign === character);
    if (sign !== undefined) {
      this.#at++;
      return { kind: sign, text: sign, start };
    }
    if (character === '"' || character === "'") return this.#string(start, character);
    if (character === "[") return this.#class(start);
    if (character === "/" && this.name === "lark") return this.#pattern(start);
    throw this.#error(start, `${JSON.stringify(character)} is no part of a grammar`);
  }

  #counts([, least, further, most]: RegExpExecArray, start: number): { least: number; most: number } {
    const counts = { least: Number(least), most: further === undefined ? Number(least) : Number(most || Infinity) };
    if (counts.most >= counts.least) return counts;
    throw this.#error(start, `expected at least ${least} as the upper number of a repetition, but found ${most}`);
  }

  #string(start: number, quote: string): Token {
    const text = this.#quoted(start, quote);
    if (this.name === "lark" && this.#match(/\s*\.\.\s*(?=")/y) !== null) {
      const [first, last] = [text, this.#quoted(start, quote)].map((end) =>
        [...end].length === 1 ? end.codePointAt(0)! : NaN
      );
      if (!(first <= last)) {
        throw this.#error(start, "expected a range from one character to one that is not before it");
      }
      return { kind: "class", text: this.source.slice(start, this.#at), start, ranges: [[first, last]] };
    }
    const ignoresCase = this.name === "lark" && this.#match(/i\b/y) !== null;
    return { kind: "string", text, start, ignoresCase };
  }

  #quoted(start: number, quote: string): string {
    this.#at++;
    let text = "";
    while (this.source[this.#at] !== quote) text += this.#character(start, "a text");
    this.#at++;
    return text;
  }

  #class(start: number): Token {
    this.#at++;
    const negates = this.source[this.#at] === "^";
    if (negates) this.#at++;
    const ranges: [number, number][] = [];
    while (this.source[this.#at] !== "]") {
      const first = this.#character(start, "a class of characters").codePointAt(0)!;
      const isRange = this.source[this.#at] === "-" && this.source[this.#at + 1] !== "]";
      if (isRange) this.#at++;
      const last = isRange ? this.#character(start, "a class of characters").codePointAt(0)! : first;
      if (last < first) throw this.#error(start, "a range of characters ends before it begins");
      ranges.push([first, last]);
    }
    this.#at++;
    return { kind: "class", text: this.source.slice(start, this.#at), start, ranges, negates };
  }

  #pattern(start: number): Token {
    const match = this.#match(/\/((?:\\.|[^\\/\n])+)\/([a-z]*)/y);
    if (match === null) throw this.#error(start, "a regular expression does not end");
    if (match[2] !== "") throw this.#error(start, `the flags ${match[2]} of a regular expression cannot be followed`);
    return { kind: "pattern", text: match[1], start };
  }

  /** One character, which may be escaped. */
  #character(start: number, where: string): string {
    const match = this.#match(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([^xuU]))|[^\\\n]/uy);
    if (match === null) throw this.#error(start, `${where} does not end, or holds an escape that is none`);
    const [whole, byte, short, long, single] = match;
    const digits = byte ?? short ?? long;
    if (digits !== undefined) {
      const code = parseInt(digits, 16);
      // A lone surrogate is no character, and could not be generated.
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) throw this.#error(start, `${whole} is no character`);
      return String.fromCodePoint(code);
    }
    return single === undefined ? whole : ESCAPES[single] ?? single;
  }
}
