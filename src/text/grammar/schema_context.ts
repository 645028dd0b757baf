/** @file What the readers of the parts of a JSON Schema share. */
import type { Expression } from "./expression.ts";
import type { SchemaObject } from "./schema_keywords.ts";
import { UnsupportedGrammarError } from "./unsupported.ts";

/** What the parts of the reader know of each other. */
export interface SchemaContext {
  /** Where the schema is, for messages. */
  readonly path: string;
  /** The expression of a schema within it. */
  readonly read: (schema: unknown, path: string) => Expression;
  /** Gives an expression a rule of its own. */
  readonly asRule: (expression: Expression) => Expression;
}

/** A whole number that a keyword gives, if it is there. @throws {UnsupportedGrammarError} */
export function count(schema: SchemaObject, keyword: string, path: string): number | undefined {
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (Number.isSafeInteger(value) && value as number >= 0) return value as number;
  throw new UnsupportedGrammarError(`${path}.${keyword} is ${shown(value)}; expected a whole number, at least 0`);
}

/** Puts the place of what is at fault in front of the message. */
export function within<Result>(path: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof UnsupportedGrammarError)) throw error;
    throw new UnsupportedGrammarError(`${path} asks for ${error.message}`);
  }
}

/** The beginning of a value, for messages. */
export function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? "missing";
  return json.length > 60 ? `${json.slice(0, 60)}...` : json;
}
