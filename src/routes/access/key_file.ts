/** @file A file of API keys: `{"alice": "KEY", "bob": {"key": "KEY", "requests-per-minute": 60}}`. */
import { systemReason } from "../../formats/system_reason.ts";
import type { ApiKey } from "./api_keys.ts";

/** The file cannot be used; the message says why. */
export class KeyFileError extends Error {
  override name = "KeyFileError";
}

/** Keys that a header can carry. */
export const KEY_CHARACTERS = /^[\x21-\x7e]+$/;

/** @throws {KeyFileError} naming the entry at fault, but never a key */
export async function readKeyFile(path: string): Promise<ApiKey[]> {
  let entries: unknown;
  try {
    entries = JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    // What JSON.parse says would show a part of the file.
    const reason = error instanceof SyntaxError ? "it is not valid JSON" : systemReason(error);
    throw new KeyFileError(`The API keys in ${path} cannot be read: ${reason}`);
  }
  if (typeof entries !== "object" || entries === null || Array.isArray(entries)) {
    throw new KeyFileError(`${path} must hold an object of names and keys`);
  }
  const keys = Object.entries(entries).map(([name, entry]): ApiKey => {
    const { key, "requests-per-minute": rate } = typeof entry === "string"
      ? { key: entry, "requests-per-minute": undefined }
      : entry ?? {};
    if (typeof key !== "string" || !KEY_CHARACTERS.test(key)) {
      throw new KeyFileError(
        `${path}: the key of ${JSON.stringify(name)} must be a text of visible ASCII characters, without spaces`,
      );
    }
    if (rate !== undefined && !(Number.isSafeInteger(rate) && rate > 0)) {
      throw new KeyFileError(
        `${path}: requests-per-minute of ${JSON.stringify(name)} must be a whole number of at least 1, not ${
          JSON.stringify(rate)
        }`,
      );
    }
    return { name, key, ...rate !== undefined && { requestsPerMinute: rate } };
  });
  // Without any, everybody would be let in.
  if (keys.length === 0) throw new KeyFileError(`${path} must hold at least one key`);
  const twice = keys.find(({ key }, at) => keys.findIndex((other) => other.key === key) < at);
  if (twice) throw new KeyFileError(`${path}: the key of ${JSON.stringify(twice.name)} is another one's, too`);
  return keys;
}
