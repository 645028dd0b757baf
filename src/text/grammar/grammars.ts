/** @file The rules of what requests ask for, other than JSON of a schema (see json_schema.ts). */
import { characters, choice, type Rules, text } from "./expression.ts";
import { readPattern } from "./regular_expression.ts";
import { schemaRules } from "./json_schema.ts";

/** Any object of JSON. */
export const JSON_OBJECT_RULES: Rules = schemaRules({ type: "object" });

/** Texts that a regular expression matches as a whole. @throws {UnsupportedGrammarError} */
export function patternRules(source: string): Rules {
  return new Map([["root", readPattern(source, characters).expression]]);
}

/** One of some texts. */
export function choiceRules(options: readonly string[]): Rules {
  return new Map([["root", choice(...options.map(text))]]);
}
