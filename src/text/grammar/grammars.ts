/** @file The grammars of what requests ask for, other than JSON of a schema (see json_schema.ts). */
import { characters, choice, printGrammar, text } from "./expression.ts";
import { readPattern } from "./regular_expression.ts";
import { schemaGrammar } from "./json_schema.ts";

/** Any object of JSON. */
export const JSON_OBJECT_GRAMMAR: string = schemaGrammar({ type: "object" });

/** Texts that a regular expression matches as a whole. @throws {UnsupportedGrammarError} */
export function patternGrammar(source: string): string {
  return printGrammar(new Map([["root", readPattern(source, characters).expression]]));
}

/** One of some texts. @throws {UnsupportedGrammarError} if they are too long together */
export function choiceGrammar(options: readonly string[]): string {
  return printGrammar(new Map([["root", choice(...options.map(text))]]));
}
