/** @file Arrays of a JSON Schema. */
import { choice, type Expression, repeat, sequence, text } from "./expression.ts";
import { count, type SchemaContext } from "./schema_context.ts";
import { list } from "./json_text.ts";
import type { SchemaObject } from "./schema_keywords.ts";
import { UnsupportedGrammarError } from "./unsupported.ts";

/** Arrays under the keywords of a schema. @throws {UnsupportedGrammarError} */
export function arrayExpression(schema: SchemaObject, { path, read, asRule }: SchemaContext): Expression {
  const least = count(schema, "minItems", path) ?? 0;
  let most = count(schema, "maxItems", path) ?? Infinity;
  // Before 2020-12, `items` was either of the two.
  const isTuple = Array.isArray(schema.items);
  const first = (isTuple ? schema.items : schema.prefixItems ?? []) as readonly unknown[];
  const further = (isTuple ? schema.additionalItems : schema.items) ?? true;
  if (!Array.isArray(first)) throw new UnsupportedGrammarError(`${path}.prefixItems is no array; expected one`);
  if (further === false) most = Math.min(most, first.length);
  if (schema.uniqueItems === true && most > 1) {
    throw new UnsupportedGrammarError(`${path} has uniqueItems, which cannot be followed where there may be several`);
  }
  if (least > most) return choice();
  const items = first.slice(0, most).map((item, at) =>
    read(item, `${path}.${isTuple ? "items" : "prefixItems"}[${at}]`)
  );
  const item = most > first.length ? asRule(read(further, `${path}.${isTuple ? "additionalItems" : "items"}`)) : null;
  if (items.length === 0) return item === null ? text("[]") : list("[", item, "]", least, most);

  const comma = text(", ");
  let rest: Expression = item === null
    ? text("")
    : repeat(sequence(comma, item), Math.max(0, least - items.length), most - items.length);
  // An array may end before all of the first items are there.
  for (let at = items.length - 1; at >= 0; at--) {
    const here = sequence(...(at > 0 ? [comma] : []), items[at], rest);
    rest = asRule(at >= least ? choice(here, text("")) : here);
  }
  return sequence(text("["), rest, text("]"));
}
