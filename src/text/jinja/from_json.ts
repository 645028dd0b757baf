/** @file What clients send, as values of templates. */

import { JsonFloat } from "../json_text.ts";
import { TemplateText } from "./template_text.ts";
import { Dict, type Value } from "./values.ts";

/**
 * The value of JSON, parsed by `JSON.parse` or by `parseJson`, with all texts marked as the client's. Of plain numbers whole
 * ones count as integers. Members that are undefined are left out.
 */
export function fromJson(input: unknown): Value {
  if (typeof input === "string") return TemplateText.marked(input);
  if (typeof input === "number") return Number.isInteger(input) ? BigInt(input) : input;
  if (input === null || typeof input === "boolean" || typeof input === "bigint") return input;
  if (Array.isArray(input)) return input.map(fromJson);
  if (input === undefined) return null;
  if (input instanceof JsonFloat) return input.value;
  const entries: Iterable<[string, unknown]> = input instanceof Map ? input : Object.entries(input as object);
  return new Dict(
    [...entries].filter(([, value]) => value !== undefined).map(([key, value]) =>
      [fromJson(key), fromJson(value)] as const
    ),
  );
}
