/** @file The grammar of an answer that has to be calls of tools, in the form of the model's family. */
import { ANY_CHARACTER, charactersOf, difference } from "../grammar/characters.ts";
import {
  characters,
  choice,
  type Expression,
  optional,
  printGrammar,
  repeat,
  rule,
  type Rules,
  sequence,
  text,
  withPrefix,
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

/** White space before an answer, at most: a model may go on with it for ever. */
const MOST_SPACES = 8;
/** Calls of one request at most. */
const MOST_CALLS = 128;
const NO_ARGUMENTS = { type: "object", properties: {}, additionalProperties: false };

/** Whether there may be several calls in one answer. */
interface Calls {
  readonly several: boolean;
}

/**
 * The grammar of one call of one of the tools, or of several.
 *
 * @param lead what comes before it of the format: all of what begins a call, its space alone, or nothing
 * @throws {UnsupportedGrammarError} naming the tool whose arguments cannot be followed
 */
export function callsGrammar(
  format: ToolCallFormat,
  tools: readonly Tool[],
  { several, lead }: Calls & { readonly lead: string },
): string {
  const rules = callRules(format, tools);
  rules.set("root", sequence(text(lead), together(format, several)));
  return printGrammar(rules);
}

/**
 * The grammar of an answer that is calls as {@link callsGrammar} has them if it is JSON, and any text otherwise: for formats in
 * which nothing begins a call.
 *
 * @throws {UnsupportedGrammarError} as there
 */
export function callsOrTextGrammar(format: ToolCallFormat, tools: readonly Tool[], { several }: Calls): string {
  const rules = callRules(format, tools);
  const begins = difference(ANY_CHARACTER, charactersOf("{[ \t\r\n<"));
  // What may come before a call, see formats.ts, begins with <|.
  const mark = sequence(text("<"), characters(difference(ANY_CHARACTER, charactersOf("|"))));
  const free = sequence(choice(characters(begins), mark), repeat(characters(ANY_CHARACTER), 0));
  // Many tokenizers begin words with a space, the first one of an answer, too.
  const space = repeat(characters(charactersOf(" \t\r\n")), 0, MOST_SPACES);
  rules.set("root", sequence(space, optional(choice(together(format, several), free))));
  return printGrammar(rules);
}

/**
 * The grammar of an answer that is any text, in which what begins a call is followed by calls as {@link callsGrammar} has them:
 * for vocabularies in which no token begins a call, so that it has to be seen in the text.
 *
 * @param begin what begins a call
 * @throws {UnsupportedGrammarError} as there
 */
export function textThenCallsGrammar(
  format: ToolCallFormat,
  begin: string,
  tools: readonly Tool[],
  calls: Calls,
): string {
  const rules = callRules(format, tools);
  // Up to where its first character comes again: so far, what breaks off can only begin anew.
  const again = begin.indexOf(begin[0], 1);
  const [first, ...others] = again < 0 ? begin : begin.slice(0, again);
  const anew = sequence(text(first), rule("begun_0"));
  // One rule for each number of characters that have come, so that there is one way to read a text: of several, XGrammar follows all.
  others.forEach((character, at) => {
    const isLast = at === others.length - 1;
    const broken = sequence(characters(difference(ANY_CHARACTER, charactersOf(first + character))), rule("root"));
    const on = sequence(text(character), rule(isLast ? "calls" : `begun_${at + 1}`));
    rules.set(`begun_${at}`, optional(choice(anew, broken, on)));
  });
  const lead = begin.slice(1 + others.length) + format.space;
  rules.set("calls", sequence(text(lead), together(format, calls.several)));
  rules.set("root", sequence(repeat(characters(difference(ANY_CHARACTER, charactersOf(first))), 0), optional(anew)));
  return printGrammar(rules);
}

/**
 * The grammar of an answer that is calls as {@link callsGrammar} has them, or a document.
 *
 * @param lead what comes before calls: all of what begins one, or nothing
 * @param document the rules of what it is otherwise
 * @throws {UnsupportedGrammarError} as there
 */
export function callsOrDocumentGrammar(
  format: ToolCallFormat,
  tools: readonly Tool[],
  { several, lead }: Calls & { readonly lead: string },
  document: Rules,
): string {
  const rules = callRules(format, tools);
  for (const [name, body] of withPrefix(document, "document_")) rules.set(name, body);
  rules.set("root", choice(sequence(text(lead), together(format, several)), rule("document_root")));
  return printGrammar(rules);
}

function callRules(format: ToolCallFormat, tools: readonly Tool[]): Map<string, Expression> {
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
  return rules;
}

function together({ isList, separator, space, end }: ToolCallFormat, several: boolean): Expression {
  const call = rule("call");
  if (isList) return list("[", call, "]", 1, several ? MOST_CALLS : 1);
  if (separator === null) return call;
  const calls = several ? [call, repeat(sequence(text(separator), call), 0, MOST_CALLS - 1)] : [call];
  // As models end the last call: without it they could only go on with another one.
  return sequence(...calls, ...end === null ? [] : [optional(text(space + end))]);
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
