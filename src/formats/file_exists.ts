/** @file Whether there is a file or folder at a path. */
import { ModelFileError } from "./model_file.ts";
import { systemReason } from "./system_reason.ts";

/** @throws {ModelFileError} where the system does not tell, such as in a folder that must not be looked into */
export async function fileExists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw new ModelFileError(`${path} cannot be opened: ${systemReason(error)}`);
  }
}
