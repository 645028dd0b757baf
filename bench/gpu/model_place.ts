/** @file Where the model's file can lie for the length of a run: it is as large as a model, and nobody wants it afterwards. */
import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import type { TensorType } from "../../src/formats/model_file.ts";
import { randomModelBytes } from "./random_model.ts";
import type { Shape } from "./shapes.ts";

/** What is to stay free. */
const SPARE_BYTES = 2 ** 30;
/** Shares of the free memory that a file in memory may take. */
const MEMORY_SHARE = 1 / 3;

/**
 * A path for the model's file, in a folder with room for it: the one for temporary files, else memory, else `fallback`.
 *
 * @throws {Error} when none has room
 */
export async function placeModel(shape: Shape, type: TensorType, fallback: string): Promise<string> {
  const bytes = randomModelBytes(shape, type);
  for (const folder of [tmpdir(), "/dev/shm", fallback]) await removeForgotten(folder);
  const found: string[] = [];
  const unknown: string[] = [];
  for (const folder of [tmpdir(), "/dev/shm", fallback]) {
    const free = await freeBytes(folder);
    if (free === undefined) unknown.push(folder);
    else if (free >= bytes + SPARE_BYTES) return pathIn(folder);
    else found.push(`${folder} has ${gibibytes(free)}`);
  }
  // Some systems do not say what is free: then it has to be tried.
  if (unknown.length > 0) return pathIn(unknown[0]);
  throw new Error(
    `The model's file needs ${gibibytes(bytes + SPARE_BYTES)} and ${found.join(", ")}: free some, or set TMPDIR`,
  );
}

/** Removes the files of runs that were killed. */
async function removeForgotten(folder: string): Promise<void> {
  try {
    for await (const { name } of Deno.readDir(folder)) {
      const pid = /^ebb-bench-(\d+)\.gguf$/.exec(name)?.[1];
      if (pid === undefined || await Deno.stat(`/proc/${pid}`).then(() => true, () => false)) continue;
      await Deno.remove(`${folder}/${name}`);
    }
  } catch {
    // No such folder, or none of ours.
  }
}

/** Bytes that are free in a folder, 0 if there is no such folder; undefined if nobody knows. */
async function freeBytes(folder: string): Promise<number | undefined> {
  try {
    await Deno.stat(folder);
  } catch {
    return 0;
  }
  try {
    const { blocks, bavail, bsize } = await statfs(folder);
    if (blocks === 0) return undefined;
    const free = bavail * bsize;
    return folder === "/dev/shm" ? Math.min(free, MEMORY_SHARE * Deno.systemMemoryInfo().available) : free;
  } catch {
    return undefined;
  }
}

const pathIn = (folder: string) => `${folder}/ebb-bench-${Deno.pid}.gguf`;

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
