/** @file The API keys that the flags name: one by itself, and those of a file, which is read again on SIGHUP. */
import { ApiKeys } from "../routes/access/api_keys.ts";
import { KeyFileError, readKeyFile } from "../routes/access/key_file.ts";
import { ExitError } from "./exit_codes.ts";
import type { ServeOptions } from "./flags/serving.ts";

/**
 * @param log takes a line for people
 * @throws {ExitError} if the file cannot be used; later, the keys that were valid stay so
 */
export async function openApiKeys(
  { apiKey, apiKeyFile }: Pick<ServeOptions, "apiKey" | "apiKeyFile">,
  log: (line: string) => void = console.error,
): Promise<ApiKeys> {
  const single = apiKey === undefined ? [] : [{ name: "--api-key", key: apiKey }];
  if (apiKeyFile === undefined) return new ApiKeys(single);
  const read = async () => [...single, ...await readKeyFile(apiKeyFile)];
  const keys = new ApiKeys(
    await read().catch((error) => {
      throw error instanceof KeyFileError ? new ExitError("usage", error.message) : error;
    }),
  );
  const reload = async () => {
    try {
      const valid = await read();
      keys.replace(valid);
      log(`Read ${apiKeyFile} again: ${valid.length} keys are valid`);
    } catch (error) {
      log(`${(error as Error).message}; the keys stay as they were`);
    }
  };
  // Windows has no such signal.
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGHUP", reload);
  return keys;
}
