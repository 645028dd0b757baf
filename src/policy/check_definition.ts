/**
 * @file Looks through what a plugin defines before it is used: a file of somebody's is checked by nobody else, and most of it runs
 * only in the middle of a request.
 */
import { z } from "zod";
import type { Plugin } from "./policy.ts";

/** The versions of the interface that plugins may be written for; the last is the present one. */
const KNOWN_APIS: readonly unknown[] = [1];

/** What each kind may be defined with; the rest would be ignored, and so is refused. */
const FIELDS = {
  scorer: ["api", "name", "description", "options", "score"],
  allocator: ["api", "name", "description", "options", "perHead", "schedule", "allot"],
  policy: ["api", "name", "description", "options", "score", "scorer", "allocator", "defaults"],
};

/** Names go into requests, flags, labels of metrics and, with a plus between them, into those of combinations. */
const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/i;

/**
 * Checks a definition.
 *
 * @param functions fields that must be functions
 * @throws {TypeError} naming the plugin, the field, its value and what was expected
 */
export function checkDefinition(kind: keyof typeof FIELDS, definition: object, functions: readonly string[]): void {
  const given = definition as Readonly<Record<string, unknown>>;
  const { name, description, options, api, perHead } = given ?? {};
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new TypeError(
      `The name of a ${kind} must be letters, digits, dots, dashes and underscores, 64 at most, but is ${show(name)}`,
    );
  }
  const refuse = (field: string, expected: string, value: unknown): never => {
    throw new TypeError(`${field} of the ${kind} "${name}" must be ${expected}, but is ${show(value)}`);
  };
  if (api !== undefined && !KNOWN_APIS.includes(api)) {
    refuse("api", `a version of ebb/policy that this Ebb knows (${KNOWN_APIS.join(", ")})`, api);
  }
  const unknown = Object.keys(given).find((field) => !FIELDS[kind].includes(field));
  if (unknown !== undefined) {
    throw new TypeError(`The ${kind} "${name}" has no field "${unknown}": known are ${FIELDS[kind].join(", ")}`);
  }
  if (typeof description !== "string" || description === "") refuse("description", "a sentence", description);
  for (const field of functions) {
    if (typeof given[field] !== "function") refuse(field, "a function", given[field]);
  }
  if (options !== undefined && !(options instanceof z.ZodObject)) {
    refuse("options", 'an object schema of the z that "ebb/policy" exports, such as z.strictObject({})', options);
  }
  if (perHead !== undefined && typeof perHead !== "boolean") refuse("perHead", "true or false", perHead);
  for (const half of ["scorer", "allocator"] as const) {
    const value = given[half];
    if (kind !== "policy" || value === undefined || typeof value === "string") continue;
    if ((value as Plugin & { kind?: unknown })?.kind !== half) {
      refuse(half, `what ${half === "scorer" ? "defineScorer" : "defineAllocator"} returns, or a name`, value);
    }
  }
}

function show(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? String(value);
  return Array.isArray(value) ? "an array" : "an object";
}
