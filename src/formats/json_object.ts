/** @file JSON files that may lie beside a model's own. */
import { ModelFileError } from "./model_file.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * A JSON file's object; undefined where there is no such file.
 *
 * @throws {ModelFileError} when it is not a JSON object
 */
export async function readJsonObject(path: string): Promise<JsonObject | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ModelFileError(`${path} is not JSON: ${(error as Error).message}`);
  }
  if (!isJsonObject(value)) throw new ModelFileError(`${path} is not a JSON object`);
  return value;
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
