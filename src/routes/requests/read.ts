/** @file Reads and validates the body of a request, and words what is wrong with it. */
import type { z } from "zod";
import type { ServerContext } from "../context.ts";
import { nearest } from "../../text/nearest.ts";
import { clipped, HttpError } from "../errors.ts";
import { type BodySource, readJson } from "./body.ts";

/** Problems of one request that are named in one reply. */
const MAX_PROBLEMS = 3;
const MAX_SHOWN_CHARACTERS = 60;
const MAX_SHOWN_ENTRIES = 20;

/** Fields that may be slips of the pen: of so many, names so long, and at most so many letters of them wrong. */
const MAX_SLIPS = 64;
const SLIP_LENGTHS = { from: 6, to: 40 };
const SLIP_SHARE = 1 / 4;

/**
 * Reads and validates a request's body. Unknown fields are ignored, but for those that are hardly meant to be: `kv_cahce`.
 *
 * @param schema of the body; where there are several forms of it, which one it is of
 * @returns the request, and its body as it was written
 *
 * @throws {HttpError} 400, naming each field at fault, its value and what was expected; 499 if the client has gone; others
 * as {@link readJson}
 */
export async function readRequest<Schema extends z.ZodObject>(
  context: ServerContext,
  source: BodySource,
  schema: Schema | ((body: unknown) => Schema),
): Promise<{ request: z.infer<Schema>; text: string }> {
  const { value: body, text } = await readJson(context, source);
  const form = typeof schema === "function" ? schema(body) : schema;
  requireNoSlip(body, Object.keys(form.shape));
  return { request: validate(form, body), text };
}

/** @throws {HttpError} 400, if a field is misspelt: ignored, it would change the answer */
function requireNoSlip(body: unknown, known: readonly string[]): void {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return;
  const fields = new Set(known);
  let looked = 0;
  for (const name of Object.keys(body)) {
    if (fields.has(name) || name.length < SLIP_LENGTHS.from || name.length > SLIP_LENGTHS.to) continue;
    if (++looked > MAX_SLIPS) return;
    const near = nearest(name, known, SLIP_SHARE);
    if (near === undefined || (body as Record<string, unknown>)[name] === null) continue;
    throw new HttpError(400, `Unknown field ${name}: did you mean ${near}?`, { param: name });
  }
}

/**
 * @param rename the name of a field as the client knows it, of a body that was made from another API's
 * @throws {HttpError} 400, naming each field at fault, its value and what was expected
 */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  body: unknown,
  rename: (field: string) => string = (field) => field,
): z.infer<Schema> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const { issues } = result.error;
  const nameOf = (path: readonly PropertyKey[]) => rename(pathText(path));
  // A value can fail several parts of one check.
  const sentences = new Set<string>();
  for (const { path, message } of issues) {
    if (sentences.size === MAX_PROBLEMS) break;
    sentences.add(`${nameOf(path) || "The request body"} ${shownValue(valueAt(body, path))}; ${message}`);
  }
  throw new HttpError(400, [...sentences].join(". "), { param: nameOf(issues[0].path) || null });
}

/** `["messages", 0, "role"]` as `messages[0].role`. */
function pathText(path: readonly PropertyKey[]): string {
  return path.map((key, at) => typeof key === "number" ? `[${key}]` : `${at === 0 ? "" : "."}${clipped(String(key))}`)
    .join("");
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((value: any, key) => value?.[key], body);
}

function shownValue(value: unknown): string {
  return value === undefined ? "is missing" : `is ${clipped(shortJson(value), MAX_SHOWN_CHARACTERS)}`;
}

/** The beginning of a value's JSON; hardly more of the value is looked at than is shown. */
function shortJson(value: unknown, depth = 1): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, MAX_SHOWN_CHARACTERS));
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (depth > 4) return "...";
  if (Array.isArray(value)) {
    return `[${value.slice(0, MAX_SHOWN_ENTRIES).map((entry) => shortJson(entry, depth + 1)).join(",")}]`;
  }
  const fields: string[] = [];
  for (const name in value) {
    if (fields.length === MAX_SHOWN_ENTRIES) break;
    fields.push(`${shortJson(name)}:${shortJson((value as Record<string, unknown>)[name], depth + 1)}`);
  }
  return `{${fields.join(",")}}`;
}
