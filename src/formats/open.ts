/** @file Opens a model in whatever format it is. */

import { openGguf } from "./gguf.ts";
import { type ModelFile, ModelFileError } from "./model_file.ts";
import { RandomAccessFile } from "./random_access_file.ts";
import { openSafetensors } from "./safetensors.ts";
import { systemReason } from "./system_reason.ts";

/** What a file that is no model turns out to be, by its first bytes (as Latin-1), and what to do about it. */
const OTHER_FORMATS: readonly { readonly start: RegExp; readonly advice: string }[] = [
  { start: /^PK|^\x80./s, advice: "is a PyTorch checkpoint: convert it to safetensors or GGUF" },
  { start: /^lmgg|^tjgg|^fmgg/, advice: "is a GGML file from before GGUF: get a GGUF file of this model" },
  { start: /^FUGG/, advice: "is a big-endian GGUF file: get a little-endian one" },
  {
    start: /^version https:\/\/git-lfs/,
    advice: 'is a Git LFS pointer, not the model itself: fetch the model with "git lfs pull"',
  },
  { start: /^\s*<(!doctype|html)/i, advice: "is a web page: the download did not get the model itself" },
];

/**
 * Opens a GGUF file, or a directory with `config.json` and safetensors.
 *
 * @throws {ModelFileError} when there is no such file, it is damaged, or it is something else (which the message names
 * where it can)
 */
export async function openModel(path: string): Promise<ModelFile> {
  const { isDirectory } = await statModel(path);
  if (isDirectory) {
    await checkDirectory(path);
    return openSafetensors(path);
  }
  const start = await readStart(path, 64);
  if (start.startsWith("GGUF")) return openGguf(path);
  throw new ModelFileError(`${path} ${adviceFor(path, start)}`);
}

async function statModel(path: string): Promise<Deno.FileInfo> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      throw new ModelFileError(`${path} cannot be opened: ${systemReason(error)}`);
    }
    throw new ModelFileError(`${path} does not exist: expected a GGUF file, or a directory with a safetensors model`);
  }
}

/** @throws {ModelFileError} when the directory holds no `config.json`, naming the GGUF files that it does hold */
async function checkDirectory(path: string): Promise<void> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(path)) names.push(name);
  if (names.includes("config.json")) return;
  const ggufFiles = names.filter((name) => name.endsWith(".gguf")).sort();
  throw new ModelFileError(
    ggufFiles.length > 0
      ? `${path} is a directory: give the file itself, ${path}/${ggufFiles[0]}`
      : `${path} has no config.json: expected a directory with config.json and model.safetensors, or a GGUF file`,
  );
}

/** The first bytes of a file as Latin-1 text; all of them where the file is shorter. */
async function readStart(path: string, length: number): Promise<string> {
  const file = await RandomAccessFile.open(path);
  try {
    return String.fromCharCode(...file.read(0, Math.min(length, file.size)));
  } finally {
    file.close();
  }
}

function adviceFor(path: string, start: string): string {
  if (start === "") return "is empty: expected a GGUF file";
  if (path.endsWith(".safetensors")) {
    return "is part of a safetensors model: give the directory that holds it and its config.json";
  }
  return OTHER_FORMATS.find((format) => format.start.test(start))?.advice ??
    'is not a model that Ebb knows: expected a GGUF file, which starts with "GGUF", or a directory with a safetensors model';
}
