/** @file A GGUF file with its weights in another type: everything else stays as it is. */
import { modelTensors } from "../architecture/architectures.ts";
import { readModelConfig } from "../architecture/read_config.ts";
import { readRawMetadata } from "../formats/gguf.ts";
import type { GgufWriterValue } from "../formats/gguf_writer.ts";
import { type ModelFile, ModelFileError } from "../formats/model_file.ts";
import { partPaths } from "../formats/split_gguf.ts";
import { FILE_TYPES, type FileType, tensorTypes } from "./file_types.ts";
import { type OnProgress, tensorPieces, writeModel } from "./write_model.ts";

/** The version of the quantised types' layouts, which files of them carry. */
export const QUANTIZATION_VERSION = 2;

/**
 * Writes the model with its weights in another type. Of a model in several files, one is made.
 *
 * @param file an open GGUF file
 * @throws {ModelFileError} when it is no model that Ebb runs, or is no GGUF file, or there is a file at `out` already
 */
export async function quantizeModel(
  file: ModelFile,
  out: string,
  fileType: FileType,
  onProgress?: OnProgress,
): Promise<void> {
  if (file.format !== "gguf") {
    throw new ModelFileError(`${file.path} is no GGUF file: main.ts convert makes one of it, of any type`);
  }
  modelTensors(file, await readModelConfig(file));
  const tensors = [...file.tensors.values()];
  const types = tensorTypes(tensors, fileType);
  await writeModel(
    out,
    await metadataOf(file, fileType),
    tensors.map(({ name, shape }, i) => ({
      name,
      shape,
      type: types[i],
      pieces: () => tensorPieces(file, name, types[i]),
    })),
    onProgress,
  );
}

async function metadataOf(file: ModelFile, fileType: FileType): Promise<Record<string, GgufWriterValue>> {
  const count = file.metadata["split.count"] as number | undefined ?? 1;
  const first = count > 1 ? (await partPaths(file.path, count))[0] : file.path;
  const raw = await readRawMetadata(first);
  const kept = [...raw].filter(([key]) => !key.startsWith("split.") && key !== "general.alignment");
  return {
    ...Object.fromEntries(kept.map(([key, raw]) => [key, { raw }])),
    "general.file_type": FILE_TYPES[fileType].number,
    "general.quantization_version": QUANTIZATION_VERSION,
  };
}
