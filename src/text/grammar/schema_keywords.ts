/** @file The keywords of JSON Schema: which are followed, which cannot be, and what two schemas come to together. */
import { UnsupportedGrammarError } from "./unsupported.ts";

export type SchemaObject = Readonly<Record<string, unknown>>;

export const TYPES = ["string", "number", "integer", "object", "array", "boolean", "null"] as const;
export type TypeName = typeof TYPES[number];

/** Keywords that say something of values of one type only. */
const KEYWORDS_OF: Readonly<Partial<Record<TypeName, readonly string[]>>> = {
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  object: [
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "minProperties",
    "maxProperties",
  ],
  array: ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"],
};
const CONSTRAINTS = ["type", "enum", "const", ...Object.values(KEYWORDS_OF).flat()];

/** Keywords that would change what is valid, and cannot be followed. */
const UNFOLLOWED = [
  "not",
  "if",
  "then",
  "else",
  "contains",
  "minContains",
  "maxContains",
  "dependencies",
  "dependentRequired",
  "dependentSchemas",
  "propertyNames",
  "unevaluatedItems",
  "unevaluatedProperties",
  "$dynamicRef",
  "$recursiveRef",
  "disallow",
  "extends",
  "divisibleBy",
];

/** @throws {UnsupportedGrammarError} if a schema has a keyword that cannot be followed */
export function requireFollowed(schema: SchemaObject, path: string): void {
  const unfollowed = UNFOLLOWED.find((keyword) => schema[keyword] !== undefined);
  if (unfollowed !== undefined) {
    throw new UnsupportedGrammarError(`${path} has ${unfollowed}, which cannot be followed`);
  }
}

/** The keywords of a schema that say what is valid, apart from those that combine schemas. */
export function constraintsOf(schema: SchemaObject): SchemaObject {
  return Object.fromEntries(
    CONSTRAINTS.filter((keyword) => schema[keyword] !== undefined).map((keyword) => [
      keyword,
      schema[keyword],
    ]),
  );
}

/**
 * The types that a schema asks for. One that names none, but says something of some types, is taken to mean these: other
 * values would be valid, but are not what it describes.
 *
 * @throws {UnsupportedGrammarError} if a type is unknown
 */
export function typesOf(schema: SchemaObject, path: string): readonly TypeName[] {
  if (schema.type !== undefined) {
    const named = Array.isArray(schema.type) ? schema.type : [schema.type];
    const unknown = named.find((name) => !TYPES.includes(name));
    if (unknown === undefined) return named;
    throw new UnsupportedGrammarError(
      `${path}.type is ${JSON.stringify(unknown)}; expected ${TYPES.map((name) => `"${name}"`).join(", ")}`,
    );
  }
  const meant = Object.entries(KEYWORDS_OF).filter(([, keywords]) =>
    keywords.some((keyword) => schema[keyword] !== undefined)
  ).map(([name]) => name as TypeName);
  return meant.length > 0 ? meant : TYPES;
}

/** Keywords of a schema that say something of values of a type. */
export function keywordsFor(type: TypeName, schema: SchemaObject): readonly string[] {
  const own = KEYWORDS_OF[type === "integer" ? "number" : type] ?? [];
  return own.filter((keyword) => schema[keyword] !== undefined);
}

/**
 * A schema of what is valid under both of two, which hold constraints only.
 *
 * @throws {UnsupportedGrammarError} if no such schema can be written
 */
export function both(a: SchemaObject, b: SchemaObject, path: string): SchemaObject {
  const merged: Record<string, unknown> = { ...a, ...b };
  for (const keyword of Object.keys(a).filter((keyword) => b[keyword] !== undefined)) {
    merged[keyword] = merge(keyword, a[keyword], b[keyword], path);
  }
  if ("properties" in merged || "additionalProperties" in merged) Object.assign(merged, mergedProperties(a, b, path));
  return merged;
}

// deno-lint-ignore no-explicit-any -- values of keywords, whose shapes are checked where they are read
function merge(keyword: string, a: any, b: any, path: string): unknown {
  if (isSame(a, b)) return a;
  switch (keyword) {
    case "type":
      return commonTypes([a].flat(), [b].flat());
    case "enum":
      return a.filter((value: unknown) => b.some((other: unknown) => isSame(value, other)));
    case "required":
      return [...new Set([...a, ...b])];
    case "minLength":
    case "minItems":
    case "minProperties":
    case "minimum":
    case "exclusiveMinimum":
      return Math.max(a, b);
    case "maxLength":
    case "maxItems":
    case "maxProperties":
    case "maximum":
    case "exclusiveMaximum":
      return Math.min(a, b);
    case "items":
      if (!Array.isArray(a) && !Array.isArray(b)) return { allOf: [a, b] };
      break;
    case "properties":
    case "additionalProperties":
      return undefined;
  }
  throw new UnsupportedGrammarError(`${path} combines two schemas with different ${keyword}, which cannot be followed`);
}

function commonTypes(a: readonly string[], b: readonly string[]): string[] {
  const holds = (types: readonly string[], type: string) =>
    types.includes(type) || (type === "integer" && types.includes("number"));
  return [...new Set([...a.filter((type) => holds(b, type)), ...b.filter((type) => holds(a, type))])];
}

/** Properties and what further ones may be: a property that one schema does not list is a further one to it. */
function mergedProperties(a: SchemaObject, b: SchemaObject, path: string): SchemaObject {
  if (a.patternProperties !== undefined || b.patternProperties !== undefined) {
    throw new UnsupportedGrammarError(`${path} combines schemas with patternProperties, which cannot be followed`);
  }
  const [ownA, ownB] = [a.properties ?? {}, b.properties ?? {}] as SchemaObject[];
  const names = [...new Set([...Object.keys(ownA), ...Object.keys(ownB)])];
  const schemaOf = (own: SchemaObject, further: unknown, name: string) =>
    Object.hasOwn(own, name) ? own[name] : further ?? true;
  const properties = Object.fromEntries(names.map((name) => {
    const parts = [schemaOf(ownA, a.additionalProperties, name), schemaOf(ownB, b.additionalProperties, name)];
    return [name, allOf(parts)];
  }));
  const further = [a.additionalProperties, b.additionalProperties].filter((schema) => schema !== undefined);
  return {
    ...names.length > 0 && { properties },
    ...further.length > 0 && { additionalProperties: allOf(further) },
  };
}

function allOf(schemas: readonly unknown[]): unknown {
  if (schemas.includes(false)) return false;
  const saying = schemas.filter((schema) => schema !== true);
  return saying.length === 0 ? true : saying.length === 1 ? saying[0] : { allOf: saying };
}

/** Whether two values of JSON are equal. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [keysA, keysB] = [Object.keys(a), Object.keys(b)];
  return keysA.length === keysB.length &&
    keysA.every((key) => Object.hasOwn(b, key) && isSame((a as SchemaObject)[key], (b as SchemaObject)[key]));
}
