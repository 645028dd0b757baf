/** @file The certificate and the key that the flags name. */
import { createSecureContext } from "node:tls";
import { ExitError } from "./exit_codes.ts";
import { flagName } from "./option_names.ts";
import type { ServeOptions } from "./flags/serving.ts";
import { systemReason } from "../formats/system_reason.ts";

/** @throws {ExitError} if only one is named, or one cannot be used */
export async function readTls(
  { tlsCert, tlsKey }: Pick<ServeOptions, "tlsCert" | "tlsKey">,
): Promise<{ cert: string; key: string } | undefined> {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  const [cert, key] = [await readPem("tlsCert", tlsCert), await readPem("tlsKey", tlsKey)];
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new ExitError(
      "usage",
      `--tls-cert ${tlsCert} and --tls-key ${tlsKey} do not work: ${(error as Error).message}`,
    );
  }
  return { cert, key };
}

async function readPem(option: string, path: string | undefined): Promise<string> {
  if (path === undefined) {
    throw new ExitError("usage", `${flagName(option)} is missing: HTTPS needs a certificate and a key`);
  }
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new ExitError("usage", `${flagName(option)} ${path} cannot be read: ${systemReason(error)}`);
  }
  if (text.includes("-----BEGIN ")) return text;
  throw new ExitError("usage", `${flagName(option)} ${path} must be a PEM file, which has a line -----BEGIN ...-----`);
}
