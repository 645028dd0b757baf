/** @file Calls in a JSON text. */
import { jsonItems, jsonMembers } from "../json_text.ts";

/** A call that a model makes. */
export interface ToolCall {
  readonly name: string;
  /** An object of JSON, as the model wrote it. */
  readonly arguments: string;
}

/**
 * The calls of a JSON value: an object, or an array of them.
 *
 * @param tools names that can be called
 * @returns null if it is anything else
 */
export function readCalls(text: string, tools: ReadonlySet<string>): ToolCall[] | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(value)) return readCall(text, value, tools);
  const texts = jsonItems(text);
  const calls = value.map((one, at) => readCall(texts[at], one, tools));
  return value.length > 0 && calls.every((call) => call !== null) ? calls.flat() : null;
}

function readCall(text: string, value: unknown, tools: ReadonlySet<string>): ToolCall[] | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  // Some models put all of it into `function`, as OpenAI's API does.
  const inner = (value as Record<string, unknown>).function;
  const members = jsonMembers(text);
  if (typeof inner === "object" && inner !== null) return readCall(members.get("function")!, inner, tools);
  const { name, arguments: given, parameters } = value as Record<string, unknown>;
  if (typeof name !== "string" || !tools.has(name)) return null;
  const [key, sent] = given !== undefined ? ["arguments", given] : ["parameters", parameters];
  if (sent === undefined || sent === null) return [{ name, arguments: "{}" }];
  if (typeof sent === "string") return isObject(sent) ? [{ name, arguments: sent }] : null;
  return typeof sent === "object" && !Array.isArray(sent) ? [{ name, arguments: members.get(key)! }] : null;
}

/** Whether a text is an object of JSON. */
export function isObject(text: string): boolean {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
