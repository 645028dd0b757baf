/** @file The JSON Schema of a request, made from the schema that validates it. */
import { z } from "zod";

/** A JSON Schema, as far as it is looked at. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly [keyword: string]: unknown;
}

/** Kinds of schemas of which only their checks know what they accept. */
const OPAQUE = ["custom", "unknown"];

/** How the words of a check begin, and those of a check that accepts nothing. */
const EXPECTED = "expected ";
const REFUSED = "expected it to be absent";

/**
 * The JSON Schema of what a request may say. What a check decides by itself is described in the words of its error. Fields
 * that are known only to be refused are left out.
 */
export function requestSchema(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...made } = z.toJSONSchema(schema, {
    // The side behind transforms: the other one is unknown where the length of a list is looked at first.
    io: "output",
    unrepresentable: "any",
    override({ zodSchema, jsonSchema }) {
      // Unknown fields are ignored.
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (OPAQUE.includes(zodSchema._zod.def.type)) {
        jsonSchema.description ??= wordsOf(zodSchema)?.slice(EXPECTED.length);
      }
      if (jsonSchema.properties === undefined) return;
      const refused = Object.entries((zodSchema as z.ZodObject).shape ?? {})
        .filter(([, field]) => wordsOf(field as z.core.$ZodType)?.startsWith(REFUSED)).map(([name]) => name);
      for (const name of refused) delete jsonSchema.properties[name];
      jsonSchema.required = jsonSchema.required?.filter((name) => !refused.includes(name));
    },
  });
  return made as JsonSchema;
}

/** The words of the first check that has any, behind whatever makes a field optional. */
function wordsOf(schema: z.core.$ZodType): string | undefined {
  const { def } = schema._zod as { def: any };
  const inner = def.innerType ?? (def.type === "pipe" ? def.in : undefined);
  const texts = [def.error, ...(def.checks ?? []).map((check: any) => check._zod.def.error)].map(textOf);
  return texts.find((text) => text?.startsWith(EXPECTED)) ?? (inner && wordsOf(inner));
}

function textOf(error: unknown): string | undefined {
  if (typeof error !== "function") return undefined;
  const text = error({ input: undefined });
  return typeof text === "string" ? text : text?.message;
}
