/** @file Files that results are written to: looked at before anything is computed. */
import { basename, dirname } from "node:path";
import { ExitError } from "./exit_codes.ts";

/**
 * @param flag as it is written, for messages
 * @throws {ExitError} with the reason `usage`, when the file's name has another ending, or its folder is not there
 */
export async function requireOutFile(flag: string, path: string, ending: ".json" | ".svg"): Promise<void> {
  if (!path.endsWith(ending) || basename(path) === ending) {
    throw new ExitError("usage", `${flag} must be a file whose name ends with ${ending}, not ${JSON.stringify(path)}`);
  }
  await requireFolderOf(flag, path);
}

/**
 * @param name of the flag or argument as it is written, for messages
 * @throws {ExitError} with the reason `usage`, when the file's folder is not there
 */
export async function requireFolderOf(name: string, path: string): Promise<void> {
  const folder = dirname(path);
  const found = await Deno.stat(folder).catch(() => undefined);
  if (found?.isDirectory) return;
  throw new ExitError(
    "usage",
    `${name} must be a file in a folder that is there, but ${folder} ${found ? "is none" : "does not exist"}`,
  );
}
