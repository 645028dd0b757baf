/** @file Objects of a JSON Schema. */
import { charactersOf, difference } from "./characters.ts";
import { characters, choice, EMPTY, type Expression, optional, repeat, rule, sequence, text } from "./expression.ts";
import { count, type SchemaContext, within } from "./schema_context.ts";
import { inString, jsonText, list, pair, PLAIN, quoted } from "./json_text.ts";
import { readPattern, writable } from "./regular_expression.ts";
import type { SchemaObject } from "./schema_keywords.ts";
import { UnsupportedGrammarError } from "./unsupported.ts";

interface Property {
  readonly member: Expression;
  readonly isRequired: boolean;
}

/** Objects under the keywords of a schema. @throws {UnsupportedGrammarError} */
export function objectExpression(schema: SchemaObject, context: SchemaContext): Expression {
  const { path, read, asRule } = context;
  const listed = objectOf(schema.properties ?? {}, `${path}.properties`);
  const required = namesOf(schema.required ?? [], `${path}.required`);
  const names = [...new Set([...Object.keys(listed), ...required])];
  const further = furtherMembers(schema, Object.keys(listed), names, context);
  const unlisted = schema.additionalProperties ?? true;
  const properties = names.flatMap((name): Property[] => {
    const isListed = Object.hasOwn(listed, name);
    const [inner, at] = isListed
      ? [listed[name], `${path}.properties.${name}`]
      : [unlisted, `${path}.additionalProperties`];
    const isRequired = required.includes(name);
    if (inner === false && !isRequired) return [];
    if (!isListed && schema.patternProperties !== undefined) {
      throw new UnsupportedGrammarError(
        `${path}.required names ${name}, which properties do not list, beside patternProperties`,
      );
    }
    return [{ member: asRule(pair(text(jsonText(name)), read(inner, at))), isRequired }];
  });
  const least = count(schema, "minProperties", path) ?? 0;
  const most = count(schema, "maxProperties", path) ?? Infinity;
  return properties.length === 0
    ? freeObject(further, least, most, path)
    : listedObject(properties, further, { least, most }, context);
}

/** An object whose members all have names of their own choice. */
function freeObject(member: Expression | null, least: number, most: number, path: string): Expression {
  if (member === null) return least > 0 ? choice() : text("{}");
  // A name may come twice, which counts once.
  if (least > 1) {
    throw new UnsupportedGrammarError(`${path}.minProperties is ${least}; expected at most 1 without properties`);
  }
  return least > most ? choice() : list("{", member, "}", least, most);
}

function listedObject(
  properties: readonly Property[],
  further: Expression | null,
  { least, most }: { least: number; most: number },
  { path, asRule }: SchemaContext,
): Expression {
  const surely = properties.filter(({ isRequired }) => isRequired).length;
  if (least > surely) {
    throw new UnsupportedGrammarError(
      `${path}.minProperties is ${least}; expected at most the ${surely} that are required`,
    );
  }
  if (most < properties.length || (further !== null && most !== Infinity)) {
    throw new UnsupportedGrammarError(
      `${path}.maxProperties is ${most}; expected at least the number of its properties`,
    );
  }
  const comma = text(", ");
  let behindOther: Expression = further === null ? EMPTY : asRule(repeat(sequence(comma, further), 0));
  let first: Expression = further === null ? EMPTY : optional(sequence(further, behindOther));
  for (const { member, isRequired } of [...properties].reverse()) {
    const begins = sequence(member, behindOther);
    first = isRequired ? begins : asRule(choice(begins, first));
    const follows = sequence(comma, member);
    behindOther = asRule(sequence(isRequired ? follows : optional(follows), behindOther));
  }
  return sequence(text("{"), first, text("}"));
}

/** A member with none of these names, which `properties` do not list; null where there is none. */
function furtherMembers(
  schema: SchemaObject,
  listed: readonly string[],
  names: readonly string[],
  { path, read, asRule }: SchemaContext,
): Expression | null {
  const { additionalProperties, patternProperties } = schema;
  if (patternProperties !== undefined) {
    const patterns = Object.entries(objectOf(patternProperties, `${path}.patternProperties`));
    if (patterns.length !== 1 || (additionalProperties !== undefined && additionalProperties !== false)) {
      throw new UnsupportedGrammarError(
        `${path}.patternProperties: expected one pattern, and additionalProperties false`,
      );
    }
    const [[source, inner]] = patterns;
    const at = `${path}.patternProperties`;
    const key = within(at, () => readPattern(source, inString));
    if (listed.some((name) => matches(source, name))) {
      throw new UnsupportedGrammarError(
        `${at} holds a pattern that one of the properties matches, which cannot be followed`,
      );
    }
    return asRule(pair(quoted(key.expression), read(inner, at)));
  }
  // An object that lists its properties is taken to be complete.
  if (additionalProperties === undefined && listed.length > 0) return null;
  if (additionalProperties === false) return null;
  const value = read(additionalProperties ?? true, `${path}.additionalProperties`);
  return asRule(pair(names.length === 0 ? rule("json_string") : quoted(otherThan(names)), value));
}

/** Names without escapes that are none of these. */
function otherThan(names: readonly string[]): Expression {
  const firsts = [...new Set(names.filter((name) => name !== "").map((name) => Array.from(name)[0]))];
  const plain = firsts.filter((first) => jsonText(first) === `"${first}"`);
  const options = plain.map((first) => {
    const rests = names.filter((name) => name.startsWith(first)).map((name) => name.slice(first.length));
    return sequence(text(first), otherThan(rests));
  });
  const others = writable(difference(PLAIN, charactersOf(plain.join(""))));
  options.push(sequence(characters(others), repeat(characters(PLAIN), 0)));
  if (!names.includes("")) options.push(sequence());
  return choice(...options);
}

function objectOf(value: unknown, path: string): SchemaObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as SchemaObject;
  throw new UnsupportedGrammarError(`${path}: expected an object`);
}

function namesOf(value: unknown, path: string): readonly string[] {
  if (Array.isArray(value) && value.every((name) => typeof name === "string")) return value;
  throw new UnsupportedGrammarError(`${path}: expected an array of names`);
}

/** As `pattern` matches: anywhere in the name. */
function matches(source: string, name: string): boolean {
  try {
    return new RegExp(source, "u").test(name);
  } catch {
    return new RegExp(source).test(name);
  }
}
