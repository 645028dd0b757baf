/**
 * @file Grammars as data: rules of texts, characters, sequences, choices and repetitions, written out in the EBNF that
 * XGrammar reads.
 */
import { type CharacterSet, printCharacters } from "./characters.ts";
import { UnsupportedGrammarError } from "./unsupported.ts";

/** What a part of a text looks like. */
export type Expression =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "characters"; readonly set: CharacterSet }
  | { readonly kind: "sequence"; readonly parts: readonly Expression[] }
  /** One of them; none matches nothing at all. */
  | { readonly kind: "choice"; readonly options: readonly Expression[] }
  | { readonly kind: "repeat"; readonly body: Expression; readonly least: number; readonly most: number }
  | { readonly kind: "rule"; readonly name: string };

/** More is refused: what a grammar costs grows with it. */
const MOST_REPETITIONS = 65_536;
const MOST_CHARACTERS = 262_144;
/** Of all rules, with what is repeated counted as often: compiling takes time that grows with it. */
const MOST_PARTS = 131_072;

export const text = (text: string): Expression => ({ kind: "text", text });
export const characters = (set: CharacterSet): Expression => ({ kind: "characters", set });
export const sequence = (...parts: readonly Expression[]): Expression =>
  parts.length === 1 ? parts[0] : { kind: "sequence", parts };
export const choice = (...options: readonly Expression[]): Expression =>
  options.length === 1 ? options[0] : { kind: "choice", options };
export const optional = (body: Expression): Expression => repeat(body, 0, 1);
export const rule = (name: string): Expression => ({ kind: "rule", name });
export const EMPTY = text("");

/**
 * `body` from `least` to `most` times; Infinity sets no limit.
 *
 * @throws {UnsupportedGrammarError} if that is too often, or if `body` may be nothing: then there is no end of ways to match
 */
export function repeat(body: Expression, least: number, most: number = Infinity): Expression {
  if (most > 1 && mayBeEmpty(body)) {
    if (body.kind === "repeat" && body.most === Infinity) return body;
    throw new UnsupportedGrammarError("a repetition of what may be empty");
  }
  const count = most === Infinity ? least : most;
  if (count > MOST_REPETITIONS) {
    throw new UnsupportedGrammarError(`a repetition of ${count} times; expected at most ${MOST_REPETITIONS}`);
  }
  return { kind: "repeat", body, least, most };
}

/** Whether nothing at all matches; as far as the expression itself tells, without its rules. */
function mayBeEmpty(expression: Expression): boolean {
  switch (expression.kind) {
    case "text":
      return expression.text === "";
    case "sequence":
      return expression.parts.every(mayBeEmpty);
    case "choice":
      return expression.options.some(mayBeEmpty);
    case "repeat":
      return expression.least === 0 || mayBeEmpty(expression.body);
    case "characters":
    case "rule":
      return false;
    default:
      return expression satisfies never;
  }
}

/** The rules of a grammar by name; `root` is where it begins. */
export type Rules = ReadonlyMap<string, Expression>;

/** The same rules under names with a prefix, so that they find room beside others. */
export function withPrefix(rules: Rules, prefix: string): Rules {
  const named = (expression: Expression): Expression => {
    switch (expression.kind) {
      case "text":
      case "characters":
        return expression;
      case "sequence":
        return { ...expression, parts: expression.parts.map(named) };
      case "choice":
        return { ...expression, options: expression.options.map(named) };
      case "repeat":
        return { ...expression, body: named(expression.body) };
      case "rule":
        return rule(prefix + expression.name);
    }
  };
  return new Map([...rules].map(([name, body]) => [prefix + name, named(body)]));
}

/**
 * The grammar as a text.
 *
 * @throws {UnsupportedGrammarError} if nothing finite matches it, or it is too large
 */
export function printGrammar(rules: Rules): string {
  const printer = new Printer(rules);
  if (!printer.finite.has("root")) throw new UnsupportedGrammarError("nothing that it allows ever ends");
  const printed = [...rules].filter(([name]) => printer.finite.has(name))
    .map(([name, body]) => `${name} ::= ${printer.print(body)}\n`).join("");
  const parts = [...rules.values()].reduce((sum, body) => sum + partsOf(body), 0);
  if (parts > MOST_PARTS) {
    throw new UnsupportedGrammarError(`repetitions that come to ${parts} parts; expected at most ${MOST_PARTS}`);
  }
  if (printed.length <= MOST_CHARACTERS) return printed;
  throw new UnsupportedGrammarError(`a grammar of ${printed.length} characters; expected at most ${MOST_CHARACTERS}`);
}

/** Characters, classes and rules of an expression, repeated ones as often as they are. */
function partsOf(expression: Expression): number {
  switch (expression.kind) {
    case "text":
      return expression.text.length;
    case "sequence":
      return expression.parts.reduce((sum, part) => sum + partsOf(part), 0);
    case "choice":
      return expression.options.reduce((sum, option) => sum + partsOf(option), 0);
    case "repeat": {
      const { body, least, most } = expression;
      return partsOf(body) * Math.max(1, most === Infinity ? least : most);
    }
    case "characters":
    case "rule":
      return 1;
    default:
      return expression satisfies never;
  }
}

/** Writes out what some finite text matches, and leaves the rest away. */
class Printer {
  /** Rules that some finite text matches. */
  readonly finite = new Set<string>();

  constructor(rules: Rules) {
    for (let before = -1; before < this.finite.size;) {
      before = this.finite.size;
      for (const [name, body] of rules) if (!this.finite.has(name) && this.#ends(body)) this.finite.add(name);
    }
  }

  print(expression: Expression): string {
    switch (expression.kind) {
      case "text":
        return printText(expression.text);
      case "characters":
        return printCharacters(expression.set);
      case "sequence":
        return expression.parts.length === 0 ? '""' : `(${expression.parts.map((part) => this.print(part)).join(" ")})`;
      case "choice":
        return `(${
          expression.options.filter((option) => this.#ends(option)).map((option) => this.print(option)).join(" | ")
        })`;
      case "repeat":
        return this.#printRepeat(expression.body, expression.least, expression.most);
      case "rule":
        return expression.name;
    }
  }

  #printRepeat(repeated: Expression, least: number, most: number): string {
    if (most === 0 || !this.#ends(repeated)) return '""';
    const body = this.print(repeated);
    if (least === 0 && most === 1) return `(${body} | "")`;
    if (most < Infinity) return `(${body}){${least},${most}}`;
    return least === 0 ? `(${body})*` : least === 1 ? `(${body})+` : `(${body}){${least},}`;
  }

  #ends(expression: Expression): boolean {
    switch (expression.kind) {
      case "text":
        return true;
      case "characters":
        return expression.set.length > 0;
      case "sequence":
        return expression.parts.every((part) => this.#ends(part));
      case "choice":
        return expression.options.some((option) => this.#ends(option));
      case "repeat":
        return expression.least === 0 || this.#ends(expression.body);
      case "rule":
        return this.finite.has(expression.name);
    }
  }
}

function printText(text: string): string {
  const printed = Array.from(text, (character) => {
    const code = character.codePointAt(0)!;
    if (character === '"' || character === "\\") return `\\${character}`;
    return code < 0x20 || code === 0x7f ? `\\u${code.toString(16).padStart(4, "0")}` : character;
  });
  return `"${printed.join("")}"`;
}
