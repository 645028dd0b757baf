/**
 * @file Grammars that clients write themselves: EBNF as GBNF and XGrammar have it, or the part of Lark's that says the same.
 *
 *     EBNF   root ::= "yes" | "no" [0-9]{1,3} rest?     # begins with the rule root
 *     Lark   start: "yes" | "no" /[0-9]{1,3}/ rest?     // begins with the rule start
 *
 * A grammar without any `::=` is Lark's, as in vLLM.
 */
import { ANY_CHARACTER, type CharacterSet, complement, setOf } from "./characters.ts";
import { characters, choice, EMPTY, type Expression, optional, repeat, rule, type Rules } from "./expression.ts";
import { sequence, text } from "./expression.ts";
import { GrammarScanner, type Token } from "./grammar_scanner.ts";
import { readPattern, writable } from "./regular_expression.ts";
import { UnsupportedGrammarError } from "./unsupported.ts";

const MOST_CHARACTERS = 65_536;
const MOST_RULES = 1024;
const MOST_DEPTH = 128;

/**
 * The grammar's rules.
 *
 * @throws {UnsupportedGrammarError} saying in which line what is wrong, or what cannot be followed
 */
export function ownRules(source: string): Rules {
  if (source.length > MOST_CHARACTERS) {
    throw new UnsupportedGrammarError(`it has ${source.length} characters; expected at most ${MOST_CHARACTERS}`);
  }
  return new GrammarReader(source, /::=/.test(source) ? "ebnf" : "lark").read();
}

class GrammarReader {
  readonly #scanner: GrammarScanner;
  readonly #first: "root" | "start";
  /** Where each rule is first spoken of. */
  readonly #used = new Map<string, Token>();
  #depth = 0;

  constructor(source: string, readonly dialect: "ebnf" | "lark") {
    this.#scanner = new GrammarScanner(source, dialect);
    this.#first = dialect === "ebnf" ? "root" : "start";
  }

  /** All rules, under names that every parser reads. */
  read(): Map<string, Expression> {
    const rules = new Map<string, Expression>();
    while (this.#scanner.next.kind !== "end") {
      const name = this.#scanner.take("rule");
      if (rules.has(this.#nameOf(name.text))) throw this.#scanner.wrong(`another rule ${name.text} than before`, name);
      if (rules.size === MOST_RULES) throw this.#scanner.wrong(`at most ${MOST_RULES} rules`, name);
      rules.set(this.#nameOf(name.text), this.#choice());
    }
    for (const [name, place] of this.#used) {
      if (!rules.has(this.#nameOf(name))) throw this.#scanner.wrong("the name of a rule that there is", place);
    }
    if (!rules.has("root")) {
      throw new UnsupportedGrammarError(`it has no rule ${this.#first}, with which it would begin`);
    }
    return rules;
  }

  #nameOf(name: string): string {
    return name === this.#first ? "root" : `own_${name.replaceAll(/[^A-Za-z0-9]/g, (c) => `_${c.codePointAt(0)}_`)}`;
  }

  #choice(): Expression {
    if (++this.#depth > MOST_DEPTH) throw this.#scanner.wrong(`at most ${MOST_DEPTH} brackets within each other`);
    const options = [this.#sequence()];
    while (this.#scanner.skip("|")) options.push(this.#sequence());
    this.#depth--;
    return choice(...options);
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    while (!["|", ")", "]", "end", "rule"].includes(this.#scanner.next.kind)) parts.push(this.#repeated());
    return parts.length === 0 ? EMPTY : sequence(...parts);
  }

  #repeated(): Expression {
    let body = this.#atom();
    for (;;) {
      if (this.#scanner.skip("*")) body = repeat(body, 0);
      else if (this.#scanner.skip("+")) body = repeat(body, 1);
      else if (this.#scanner.skip("?")) body = optional(body);
      else if (this.#scanner.next.kind === "count") {
        const { least, most } = this.#scanner.take("count");
        body = repeat(body, least!, most!);
      } else return body;
    }
  }

  #atom(): Expression {
    const token = this.#scanner.advance();
    switch (token.kind) {
      case "name":
        if (!this.#used.has(token.text)) this.#used.set(token.text, token);
        return rule(this.#nameOf(token.text));
      case "string":
        return token.ignoresCase ? sequence(...Array.from(token.text, eitherCase)) : text(token.text);
      case "class":
        return characters(token.negates ? writable(complement(setOf(token.ranges!))) : setOf(token.ranges!));
      case "pattern":
        return readPattern(token.text, characters).expression;
      case ".":
        return characters(ANY_CHARACTER);
      case "(": {
        const group = this.#choice();
        this.#scanner.take(")");
        return group;
      }
      case "[": {
        const group = this.#choice();
        this.#scanner.take("]");
        return optional(group);
      }
      default:
        throw this.#scanner.wrong("a text, a class of characters, a rule or a group", token);
    }
  }
}

function eitherCase(character: string): Expression {
  const set: CharacterSet = [character.toLowerCase(), character.toUpperCase()]
    .filter((spelling) => [...spelling].length === 1)
    .map((spelling) => [spelling.codePointAt(0)!, spelling.codePointAt(0)!]);
  return characters(setOf(set));
}
