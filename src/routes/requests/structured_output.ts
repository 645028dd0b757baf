/** @file The fields that say what an answer has to look like: OpenAI's, vLLM's, llama-server's and SGLang's for the same. */
import { z } from "zod";
import { choiceRules, JSON_OBJECT_RULES, patternRules } from "../../text/grammar/grammars.ts";
import { schemaRules } from "../../text/grammar/json_schema.ts";
import { printGrammar, type Rules } from "../../text/grammar/expression.ts";
import { ownRules } from "../../text/grammar/own_grammar.ts";
import { UnsupportedGrammarError } from "../../text/grammar/unsupported.ts";
import { HttpError } from "../errors.ts";
import { boolean, listOf, refused, text } from "./checks.ts";
import { spelledObject } from "./slips.ts";

const MOST_CHOICES = 4096;

const choices = listOf(text, MOST_CHOICES, "expected an array of texts");
const schemaError = "expected a JSON schema";
/** As an object, or as the text of one. */
const schema = z.union([z.looseObject({}), z.string(), z.boolean()], { error: schemaError });

const formatError =
  'expected {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema": {"schema": ...}}';
const responseFormat = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("text") }),
  // With a schema as llama-server takes it.
  spelledObject({ type: z.literal("json_object"), schema: schema.nullish() }),
  z.looseObject({
    type: z.literal("json_schema"),
    json_schema: spelledObject({ schema: schema.nullish() }, {
      error: "expected an object with a schema",
      others: ["name", "description", "strict"],
    }),
  }),
], { error: formatError });

export const structuredOutputFields = {
  response_format: responseFormat.nullish(),
  guided_json: schema.nullish(),
  guided_regex: text.nullish(),
  guided_choice: choices.nullish(),
  guided_grammar: text.nullish(),
  structured_outputs: spelledObject({
    json: schema.nullish(),
    json_object: boolean.nullish(),
    regex: text.nullish(),
    choice: choices.nullish(),
    grammar: text.nullish(),
    structural_tag: refused("structural tags are not supported"),
    whitespace_pattern: refused("JSON is written on one line"),
    disable_additional_properties: refused(
      "objects that list their properties have no others",
      (value) => value === true,
    ),
  }, { error: "expected an object" }).nullish(),
  json_schema: schema.nullish(),
  regex: text.nullish(),
  grammar: text.nullish(),
  ebnf: text.nullish(),
};

const fieldsObject = z.object(structuredOutputFields);
export type StructuredOutputFields = z.infer<typeof fieldsObject>;

/** What a field asks for. */
interface Asked {
  readonly field: string;
  readonly rules: () => Rules;
}

/**
 * The rules of the answer that a request asks for, and the field that does.
 *
 * @throws {HttpError} 400 if two fields ask for one, or what is asked for cannot be followed
 */
export function answerRules(fields: StructuredOutputFields): { rules: Rules; field: string } | null {
  const asked = everythingAsked(fields);
  if (asked.length > 1) {
    throw new HttpError(
      400,
      `${asked[0].field} and ${asked[1].field} both say what the answer is; expected one of them`,
      {
        param: asked[1].field,
      },
    );
  }
  if (asked.length === 0) return null;
  const [{ field, rules }] = asked;
  return { field, rules: followed(field, rules) };
}

/** As {@link answerRules}, as a text; undefined where nothing is asked for. */
export function answerGrammar(fields: StructuredOutputFields): string | undefined {
  const asked = answerRules(fields);
  return asked ? followed(asked.field, () => printGrammar(asked.rules)) : undefined;
}

/** @throws {HttpError} 400 instead of {@link UnsupportedGrammarError} */
export function followed<Result>(field: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof UnsupportedGrammarError)) throw error;
    throw new HttpError(400, `${field} cannot be followed: ${error.message}`, {
      param: field,
      code: "unsupported_grammar",
    });
  }
}

function everythingAsked(fields: StructuredOutputFields): Asked[] {
  const { response_format: format, structured_outputs: outputs } = fields;
  const asked: (Asked | null)[] = [
    format?.type === "json_schema"
      ? schemaAsked("response_format.json_schema.schema", format.json_schema.schema ?? { type: "object" })
      : format?.type === "json_object"
      ? format.schema == null ? objectAsked("response_format") : schemaAsked("response_format.schema", format.schema)
      : null,
    schemaAsked("guided_json", fields.guided_json),
    patternAsked("guided_regex", fields.guided_regex),
    choiceAsked("guided_choice", fields.guided_choice),
    grammarAsked("guided_grammar", fields.guided_grammar),
    schemaAsked("structured_outputs.json", outputs?.json),
    outputs?.json_object ? objectAsked("structured_outputs.json_object") : null,
    patternAsked("structured_outputs.regex", outputs?.regex),
    choiceAsked("structured_outputs.choice", outputs?.choice),
    grammarAsked("structured_outputs.grammar", outputs?.grammar),
    schemaAsked("json_schema", fields.json_schema),
    patternAsked("regex", fields.regex),
    grammarAsked("grammar", fields.grammar),
    grammarAsked("ebnf", fields.ebnf),
  ];
  return asked.filter((one) => one !== null);
}

function objectAsked(field: string): Asked {
  return { field, rules: () => JSON_OBJECT_RULES };
}

function schemaAsked(field: string, schema: unknown): Asked | null {
  if (schema === undefined || schema === null) return null;
  return { field, rules: () => schemaRules(typeof schema === "string" ? parsed(schema) : schema) };
}

function parsed(schema: string): unknown {
  try {
    return JSON.parse(schema);
  } catch (error) {
    throw new UnsupportedGrammarError(`it is not valid JSON (${(error as Error).message})`);
  }
}

function patternAsked(field: string, pattern: string | null | undefined): Asked | null {
  return pattern ? { field, rules: () => patternRules(pattern) } : null;
}

function choiceAsked(field: string, choices: readonly string[] | null | undefined): Asked | null {
  return choices?.length ? { field, rules: () => choiceRules(choices) } : null;
}

function grammarAsked(field: string, grammar: string | null | undefined): Asked | null {
  return grammar ? { field, rules: () => ownRules(grammar) } : null;
}
