/** @file The grammar of an answer that has to be calls of tools, in the form of the model's family. */
import {
  choice,
  type Expression,
  printGrammar,
  repeat,
  rule,
  type Rules,
  sequence,
  text,
} from "../grammar/expression.ts";
import { schemaRules } from "../grammar/json_schema.ts";
import { jsonText, list } from "../grammar/json_text.ts";
import { UnsupportedGrammarError } from "../grammar/unsupported.ts";
import type { ToolCallFormat } from "./formats.ts";

/** A tool that can be called. */
export interface Tool {
  readonly name: string;
  /** JSON Schema of its arguments; none take none. */
  readonly parameters?: unknown;
}

/** Calls of one request at most. */
const MOST_CALLS = 128;
const NO_ARGUMENTS = { type: "object", properties: {}, additionalProperties: false };

/**
 * The grammar of one call of one of the tools, or of several.
 *
 * @param begin whether `begin` of the format belongs to it; else the prompt ends with it
 * @throws {UnsupportedGrammarError} naming the tool whose arguments cannot be followed
 */
export function callsGrammar(
  format: ToolCallFormat,
  tools: readonly Tool[],
  { several, begin }: { readonly several: boolean; readonly begin: boolean },
): string {
  const rules = new Map<string, Expression>();
  const calls = tools.map(({ name, parameters }, at) => {
    const prefix = `tool_${at}_`;
    for (const [key, body] of argumentRules(name, parameters ?? NO_ARGUMENTS, prefix)) rules.set(key, body);
    const opening = format.nameEnd === undefined
      ? text(`{"name": ${jsonText(name)}, "${format.argumentsKey}": `)
      : text(`${name}${format.nameEnd}`);
    return sequence(opening, rule(`${prefix}root`), text(format.nameEnd === undefined ? "}" : ""));
  });
  rules.set("call", choice(...calls));
  rules.set("root", sequence(text(begin ? `${format.begin ?? ""}${format.space}` : ""), together(format, several)));
  return printGrammar(rules);
}

function together({ isList, separator }: ToolCallFormat, several: boolean): Expression {
  const call = rule("call");
  if (isList) return list("[", call, "]", 1, several ? MOST_CALLS : 1);
  if (separator === null || !several) return call;
  return sequence(call, repeat(sequence(text(separator), call), 0, MOST_CALLS - 1));
}

function argumentRules(name: string, parameters: unknown, prefix: string): Rules {
  try {
    if (typeof parameters !== "object" || parameters === null) {
      throw new UnsupportedGrammarError("expected the schema of an object");
    }
    const { type = "object" } = parameters as { type?: unknown };
    if (type !== "object") throw new UnsupportedGrammarError('expected the type "object"');
    return schemaRules({ type, ...parameters }, prefix);
  } catch (error) {
    if (!(error instanceof UnsupportedGrammarError)) throw error;
    throw new UnsupportedGrammarError(`the parameters of ${name}: ${error.message}`);
  }
}
