/** @file Files with one JSON object a line, and errors that name the line and the field. */
import { quote } from "../../formats/quote.ts";
import { systemReason } from "../../formats/system_reason.ts";

/** An object of a file, and how to speak of it. */
export interface JsonLine {
  readonly fields: Readonly<Record<string, unknown>>;
  /** Such as `trec.jsonl line 3`. */
  readonly place: string;
}

/**
 * The objects of a file; empty lines are passed over.
 *
 * @throws {Error} if the file cannot be read, or a line is no JSON object
 */
export async function readJsonLines(path: string): Promise<JsonLine[]> {
  const lines = (await readText(path)).split("\n");
  return lines.flatMap((line, index) => {
    if (line.trim() === "") return [];
    const place = `${path} line ${index + 1}`;
    return { fields: parseObject(line, place), place };
  });
}

async function readText(path: string): Promise<string> {
  const bytes = await Deno.readFile(path).catch((error: Error) => {
    throw new Error(`${path} cannot be read: ${systemReason(error)}`);
  });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${path} is not UTF-8 text: expected JSON objects, one a line`);
  }
}

function parseObject(line: string, place: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error(`${place} is not JSON: ${quote(line)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${place} must be a JSON object, not ${quote(line)}`);
  }
  return value as Record<string, unknown>;
}

/** A field that holds a text. */
export function textField(line: JsonLine, name: string): string {
  const value = line.fields[name];
  return typeof value === "string" ? value : refuse(line, name, "a text");
}

/** A field that holds a list of texts. */
export function textsField(line: JsonLine, name: string): readonly string[] {
  const value = line.fields[name];
  return isTexts(value) ? value : refuse(line, name, "a list of texts");
}

/** A field that holds a list of texts, or null, or is left out. */
export function optionalTextsField(line: JsonLine, name: string): readonly string[] | null {
  const value = line.fields[name] ?? null;
  return value === null || isTexts(value) ? value : refuse(line, name, "a list of texts or null");
}

/** A field that holds a whole number of at least 0. */
export function countField(line: JsonLine, name: string): number {
  const value = line.fields[name];
  return Number.isSafeInteger(value) && (value as number) >= 0
    ? value as number
    : refuse(line, name, "a whole number of at least 0");
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function refuse({ fields, place }: JsonLine, name: string, expected: string): never {
  const found = Object.hasOwn(fields, name) ? `not ${quote(JSON.stringify(fields[name]))}` : "but it is missing";
  throw new Error(`${place}: the field "${name}" must be ${expected}, ${found}`);
}
