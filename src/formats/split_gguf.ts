/**
 * @file Models in several GGUF files, as `llama-gguf-split` makes them: `NAME-00001-of-00003.gguf` and so on.
 *
 * The first file holds the metadata of the model; all say `split.no` (from 0) and `split.count`, and each holds some tensors.
 */

import { basename, dirname, join } from "node:path";
import { ModelFileError } from "./model_file.ts";
import { quote } from "./quote.ts";
import { fileExists } from "./file_exists.ts";

const PART_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/**
 * The paths of all parts, in order, from the path of any one.
 *
 * @param count what the file says of the number of parts
 * @throws {ModelFileError} when the name does not tell the others' names, or one of them is missing
 */
export async function partPaths(path: string, count: number): Promise<string[]> {
  const [, prefix, , named] = PART_NAME.exec(basename(path)) ?? [];
  if (prefix === undefined || Number(named) !== count) {
    const digits = String(count).padStart(5, "0");
    throw new ModelFileError(
      `${path}: metadata "split.count" is ${count}: expected a name that ends in -00001-of-${digits}.gguf or the like, with ` +
        `the other parts beside it`,
    );
  }
  const paths = Array.from({ length: count }, (_, i) => {
    return join(dirname(path), `${prefix}-${String(i + 1).padStart(5, "0")}-of-${named}.gguf`);
  });
  for (const [i, part] of paths.entries()) {
    if (await fileExists(part)) continue;
    throw new ModelFileError(`${part} does not exist: it is part ${i + 1} of ${count} of the model, get it too`);
  }
  return paths;
}

/** One part's own account of itself. */
export interface Part {
  readonly path: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensors: readonly { readonly name: string }[];
}

/** @throws {ModelFileError} when the parts are not those of one model, in order */
export function checkParts(parts: readonly Part[]): void {
  const places = new Map<string, string>();
  parts.forEach(({ path, metadata, tensors }, i) => {
    const { "split.no": number, "split.count": count } = metadata;
    if (number !== i || count !== parts.length) {
      throw new ModelFileError(
        `${path} says that it is part ${shown(number, 1)} of ${shown(count)}: expected part ${
          i + 1
        } of ${parts.length}`,
      );
    }
    for (const { name } of tensors) {
      const other = places.get(name);
      if (other !== undefined) {
        throw new ModelFileError(`${path}: tensor ${quote(name)} is in ${other}, too: expected it once`);
      }
      places.set(name, path);
    }
  });
  const promised = parts[0].metadata["split.tensors.count"];
  if (promised !== undefined && promised !== places.size) {
    throw new ModelFileError(
      `${parts[0].path}: "split.tensors.count" is ${
        shown(promised)
      }, but the ${parts.length} parts have ${places.size} tensors`,
    );
  }
}

function shown(value: unknown, add = 0): string {
  return typeof value === "number" ? String(value + add) : typeof value === "string" ? quote(value) : typeof value;
}
