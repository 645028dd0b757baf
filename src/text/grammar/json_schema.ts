/**
 * @file JSON Schema (drafts 4 to 2020-12) as a grammar, every document of which is valid.
 *
 * Not every valid document is in the grammar: they are written on one line, members come in the order of `properties`, and
 * objects that list their properties have no others unless `additionalProperties` says so. What cannot be followed is refused
 * by name; nothing is overlooked.
 */
import { arrayExpression } from "./schema_array.ts";
import { choice, type Expression, repeat, rule, type Rules, sequence, text } from "./expression.ts";
import { inString, INTEGER, JSON_RULES, jsonText, quoted } from "./json_text.ts";
import { integersIn, numbersIn } from "./number_range.ts";
import { objectExpression } from "./schema_object.ts";
import { count, type SchemaContext, shown, within } from "./schema_context.ts";
import { readPattern } from "./regular_expression.ts";
import {
  both,
  constraintsOf,
  isSame,
  keywordsFor,
  requireFollowed,
  type SchemaObject,
  type TypeName,
  TYPES,
  typesOf,
} from "./schema_keywords.ts";
import { STRING_FORMATS } from "./string_formats.ts";
import { UnsupportedGrammarError } from "./unsupported.ts";

/** Levels of schemas within each other. */
const MOST_LEVELS = 64;
const MOST_RULES = 2048;
/** Schemas that `anyOf`, `oneOf` and `allOf` beside each other come to. */
const MOST_ALTERNATIVES = 256;

/**
 * The rules of the documents of a schema, `root` first.
 *
 * @param schema as `JSON.parse` gives it
 * @param prefix of the names of its own rules, so that several schemas find room in one grammar
 * @throws {UnsupportedGrammarError} naming what cannot be followed, and where it is
 */
export function schemaRules(schema: unknown, prefix = ""): Rules {
  return new SchemaReader(schema, prefix).read();
}

class SchemaReader {
  readonly #rules = new Map<string, Expression>();
  readonly #names = new Map<unknown, string>();
  #level = 0;

  constructor(readonly root: unknown, readonly prefix: string) {}

  read(): Rules {
    const root = `${this.prefix}root`;
    this.#rules.set(root, text(""));
    this.#rules.set(root, this.#read(this.root, "schema"));
    for (const [name, body] of Object.entries(JSON_RULES)) this.#rules.set(name, body);
    return this.#rules;
  }

  /** A rule for each schema, so that it may hold itself. */
  #read(schema: unknown, path: string): Expression {
    if (schema === true) return rule("json_value");
    if (schema === false) return choice();
    const object = requireObject(schema, path);
    const known = this.#names.get(object);
    if (known !== undefined) return rule(known);
    if (++this.#level > MOST_LEVELS) {
      throw new UnsupportedGrammarError(`${path} nests more than ${MOST_LEVELS} levels deep`);
    }
    const name = this.#newName();
    this.#names.set(object, name);
    this.#rules.set(name, this.#body(object, path));
    this.#level--;
    return rule(name);
  }

  #newName(): string {
    const name = `${this.prefix}schema_${this.#rules.size}`;
    this.#rules.set(name, choice());
    if (this.#rules.size > MOST_RULES) throw new UnsupportedGrammarError(`more than ${MOST_RULES} parts`);
    return name;
  }

  #body(schema: SchemaObject, path: string): Expression {
    requireFollowed(schema, path);
    const own = constraintsOf(schema);
    const says = Object.keys(own).length > 0;
    const { $ref, allOf, anyOf, oneOf } = schema;
    const combined = [$ref, allOf, anyOf, oneOf].filter((part) => part !== undefined).length;
    // The usual forms keep the rules of their parts.
    if (!says && combined === 1) {
      if ($ref !== undefined) return this.#read(this.#target($ref, path), `${path}.$ref`);
      if (anyOf !== undefined) {
        return choice(...this.#schemas(anyOf, `${path}.anyOf`).map(({ at, schema }) => this.#read(schema, at)));
      }
      if (oneOf !== undefined) {
        return choice(...this.#apart(oneOf, `${path}.oneOf`).map(({ at, schema }) => this.#read(schema, at)));
      }
    }
    const alternatives = this.#alternatives(schema, path, 0);
    return choice(...alternatives.map((alternative) => this.#values(alternative, path)));
  }

  /** Schemas without parts to combine, of which a value has to be valid under one. */
  #alternatives(schema: unknown, path: string, depth: number): SchemaObject[] {
    if (schema === true) return [{}];
    if (schema === false) return [];
    const object = requireObject(schema, path);
    if (depth > MOST_LEVELS) throw new UnsupportedGrammarError(`${path} combines schemas that hold each other`);
    requireFollowed(object, path);
    let found = [constraintsOf(object)];
    const narrow = (options: readonly SchemaObject[]) => {
      found = found.flatMap((one) => options.map((other) => both(one, other, path)));
      if (found.length > MOST_ALTERNATIVES) {
        throw new UnsupportedGrammarError(`${path} has more than ${MOST_ALTERNATIVES} alternatives`);
      }
    };
    const deeper = ({ at, schema }: Part) => this.#alternatives(schema, at, depth + 1);
    const { $ref, allOf, anyOf, oneOf } = object;
    if ($ref !== undefined) narrow(deeper({ at: `${path}.$ref`, schema: this.#target($ref, path) }));
    if (allOf !== undefined) { for (const part of this.#schemas(allOf, `${path}.allOf`)) narrow(deeper(part)); }
    if (anyOf !== undefined) narrow(this.#schemas(anyOf, `${path}.anyOf`).flatMap(deeper));
    if (oneOf !== undefined) narrow(this.#apart(oneOf, `${path}.oneOf`).flatMap(deeper));
    return found;
  }

  #schemas(value: unknown, path: string): Part[] {
    if (Array.isArray(value) && value.length > 0) return value.map((schema, at) => ({ schema, at: `${path}[${at}]` }));
    throw new UnsupportedGrammarError(`${path} is ${shown(value)}; expected an array of schemas`);
  }

  /** @throws {UnsupportedGrammarError} unless no value can be valid under two of the schemas */
  #apart(value: unknown, path: string): Part[] {
    const parts = this.#schemas(value, path);
    const alternatives = parts.map(({ schema, at }) => this.#alternatives(schema, at, 0));
    for (const [at, options] of alternatives.entries()) {
      const clash = alternatives.slice(0, at).findIndex((others) =>
        options.some((one) => others.some((other) => !this.#areApart(one, other, path)))
      );
      if (clash < 0) continue;
      throw new UnsupportedGrammarError(
        `${path}[${clash}] and [${at}] may both hold for one value: send anyOf, or give them types that differ or a required ` +
          "property with a different const",
      );
    }
    return parts;
  }

  #areApart(a: SchemaObject, b: SchemaObject, path: string): boolean {
    const [valuesA, valuesB] = [valuesOf(a), valuesOf(b)];
    if (valuesA && valuesB) return !valuesA.some((value) => valuesB.some((other) => isSame(value, other)));
    const namedTypes = (schema: SchemaObject, values: readonly unknown[] | null) =>
      values?.map(typeOf) ?? (schema.type === undefined ? TYPES : typesOf(schema, path));
    const [typesA, typesB] = [namedTypes(a, valuesA), namedTypes(b, valuesB)];
    const meet = (one: string, other: string) =>
      one === other || (one === "integer" && other === "number") || (one === "number" && other === "integer");
    const common = typesA.filter((one) => typesB.some((other) => meet(one, other)));
    if (common.length === 0) return true;
    if (common.some((type) => type !== "object")) return false;
    const shared = ([a.required ?? [], b.required ?? []] as string[][]).reduce((one, other) =>
      one.filter((name) => other.includes(name))
    );
    return shared.some((name) => {
      const [one, other] = [a, b].map(({ properties }) => (properties as SchemaObject | undefined)?.[name]);
      if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
      const [first, second] = [valuesOf(one as SchemaObject), valuesOf(other as SchemaObject)];
      return first !== null && second !== null && !first.some((value) => second.some((rival) => isSame(value, rival)));
    });
  }

  /** Values under a schema that combines no others. */
  #values(schema: SchemaObject, path: string): Expression {
    const values = valuesOf(schema);
    if (values !== null) {
      const besides = Object.keys(schema).find((keyword) => !["enum", "const", "type"].includes(keyword));
      if (besides !== undefined) {
        throw new UnsupportedGrammarError(`${path} has ${besides} beside enum or const, which cannot be followed`);
      }
      const types = schema.type === undefined ? null : typesOf(schema, path);
      const allowed = values.filter((value) => types === null || types.some((type) => hasType(value, type)));
      return choice(...allowed.map((value) => text(jsonText(value))));
    }
    const types = typesOf(schema, path);
    if (types.length === TYPES.length) return rule("json_value");
    // Whole numbers are numbers.
    const distinct = types.filter((type) => type !== "integer" || !types.includes("number"));
    return choice(...distinct.map((type) => this.#ofType(type, schema, path)));
  }

  #ofType(type: TypeName, schema: SchemaObject, path: string): Expression {
    if (type === "null") return text("null");
    const isPlain = keywordsFor(type, schema).length === 0;
    if (isPlain || type === "boolean") return rule(`json_${type}`);
    const context: SchemaContext = {
      path,
      read: (inner, at) => this.#read(inner, at),
      asRule: (expression) => {
        const name = this.#newName();
        this.#rules.set(name, expression);
        return rule(name);
      },
    };
    switch (type) {
      case "string":
        return stringExpression(schema, path);
      case "number":
      case "integer":
        return numberExpression(type, schema, path);
      case "object":
        return objectExpression(schema, context);
      case "array":
        return arrayExpression(schema, context);
    }
  }

  #target(reference: unknown, path: string): unknown {
    if (typeof reference !== "string" || !/^#(\/|$)/.test(reference)) {
      throw new UnsupportedGrammarError(
        `${path}.$ref is ${shown(reference)}; expected a place in this schema, as in "#/$defs/name"`,
      );
    }
    let target = this.root;
    for (const step of reference.slice(1).split("/").slice(1)) {
      const key = decodeStep(step);
      // deno-lint-ignore no-explicit-any -- any JSON
      target = target !== null && typeof target === "object" && Object.hasOwn(target, key)
        ? (target as any)[key]
        : undefined;
    }
    if (target === undefined) {
      throw new UnsupportedGrammarError(`${path}.$ref is ${shown(reference)}, which the schema does not have`);
    }
    return target;
  }
}

interface Part {
  readonly schema: unknown;
  readonly at: string;
}

function stringExpression(schema: SchemaObject, path: string): Expression {
  const least = count(schema, "minLength", path) ?? 0;
  const most = count(schema, "maxLength", path) ?? Infinity;
  const source = patternOf(schema, path);
  if (source === null) {
    if (most < Infinity) return least > most ? choice() : quoted(repeat(rule("json_character"), least, most));
    return sequence(text('"'), repeat(rule("json_character"), least, least), rule("json_text"));
  }
  const pattern = within(`${path}.${source.keyword}`, () => readPattern(source.text, inString));
  if (pattern.least < least || pattern.most > most) {
    throw new UnsupportedGrammarError(
      `${path} has ${source.keyword} beside minLength or maxLength; expected it to match no shorter or longer texts than these allow`,
    );
  }
  return quoted(pattern.expression);
}

function patternOf({ pattern, format }: SchemaObject, path: string): { keyword: string; text: string } | null {
  if (pattern !== undefined && format !== undefined) {
    throw new UnsupportedGrammarError(`${path} has pattern beside format: send one of them`);
  }
  if (pattern !== undefined) {
    if (typeof pattern === "string") return { keyword: "pattern", text: pattern };
    throw new UnsupportedGrammarError(`${path}.pattern is ${shown(pattern)}; expected a string`);
  }
  if (format === undefined) return null;
  if (typeof format === "string" && Object.hasOwn(STRING_FORMATS, format)) {
    return { keyword: "format", text: STRING_FORMATS[format] };
  }
  throw new UnsupportedGrammarError(
    `${path}.format is ${shown(format)}; expected one of ${Object.keys(STRING_FORMATS).join(", ")}`,
  );
}

function numberExpression(type: "number" | "integer", schema: SchemaObject, path: string): Expression {
  const { multipleOf } = schema;
  if (multipleOf !== undefined && multipleOf !== 1) {
    throw new UnsupportedGrammarError(
      `${path}.multipleOf is ${shown(multipleOf)}; expected 1: others cannot be followed`,
    );
  }
  const number = (keyword: string) => {
    const value = schema[keyword];
    if (value === undefined || typeof value === "number") return value;
    // Of draft 4, where it is a property of the bound beside it.
    if (typeof value === "boolean" && keyword.startsWith("exclusive")) return value;
    throw new UnsupportedGrammarError(`${path}.${keyword} is ${shown(value)}; expected a number`);
  };
  const bound = (inclusive: string, exclusive: string, sign: 1 | -1) => {
    const [closed, open] = [number(inclusive) as number | undefined, number(exclusive)];
    if (open === true && closed !== undefined) return { value: closed, isOpen: true };
    if (typeof open === "number" && (closed === undefined || sign * open >= sign * closed)) {
      return { value: open, isOpen: true };
    }
    return { value: closed ?? -sign * Infinity, isOpen: false };
  };
  const low = bound("minimum", "exclusiveMinimum", 1);
  const high = bound("maximum", "exclusiveMaximum", -1);
  const isWhole = type === "integer" || multipleOf === 1;
  if (low.value === -Infinity && high.value === Infinity) return isWhole ? INTEGER : rule("json_number");
  const range = { least: low.value, most: high.value, leastIsOpen: low.isOpen, mostIsOpen: high.isOpen };
  return within(path, () => isWhole ? integersIn(range) : numbersIn(range));
}

function requireObject(schema: unknown, path: string): SchemaObject {
  if (typeof schema === "object" && schema !== null && !Array.isArray(schema)) return schema as SchemaObject;
  throw new UnsupportedGrammarError(`${path} is ${shown(schema)}; expected a schema`);
}

function valuesOf(schema: SchemaObject): readonly unknown[] | null {
  const { enum: list, const: only } = schema;
  if (only !== undefined) return Array.isArray(list) && !list.some((value) => isSame(value, only)) ? [] : [only];
  return Array.isArray(list) ? list : null;
}

function typeOf(value: unknown): TypeName {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value as TypeName;
}

function hasType(value: unknown, type: TypeName): boolean {
  return typeOf(value) === type || (type === "number" && typeof value === "number");
}

function decodeStep(step: string): string {
  try {
    return decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
  } catch {
    return step;
  }
}
