/** @file Grammars as the engine is given them. */
import { printGrammar } from "../../src/text/grammar/expression.ts";
import { choiceRules, JSON_OBJECT_RULES, patternRules } from "../../src/text/grammar/grammars.ts";
import { schemaRules } from "../../src/text/grammar/json_schema.ts";
import { ownRules } from "../../src/text/grammar/own_grammar.ts";

export const JSON_OBJECT_GRAMMAR: string = printGrammar(JSON_OBJECT_RULES);
export const schemaGrammar = (schema: unknown): string => printGrammar(schemaRules(schema));
export const patternGrammar = (source: string): string => printGrammar(patternRules(source));
export const choiceGrammar = (options: readonly string[]): string => printGrammar(choiceRules(options));
export const ownGrammar = (source: string): string => printGrammar(ownRules(source));
