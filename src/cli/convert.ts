/** @file `main.ts convert` and `quantize`: GGUF files of models in another format, or another type. */
import { convertModel } from "../conversion/convert_model.ts";
import { quantizeModel } from "../conversion/quantize_model.ts";
import { requireFree } from "../conversion/write_model.ts";
import { openModel } from "../formats/open.ts";
import type { ModelFile } from "../formats/model_file.ts";
import { TENSOR_TYPES } from "../formats/tensor_types.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import type { ConvertOptions, QuantizeOptions } from "./flags/models.ts";
import { localModel } from "./local_model.ts";
import { requireFolderOf } from "./out_file.ts";
import { transferProgress } from "./progress.ts";
import { formatBytes } from "./units.ts";

/** Makes a GGUF file of a folder and prints its path. */
export function convert({ model, out, type }: ConvertOptions): Promise<number> {
  return make(model, out, (file, onProgress) => convertModel(file, out, type, onProgress));
}

/** Makes a GGUF file of another and prints its path. */
export function quantize({ model, out, type }: QuantizeOptions): Promise<number> {
  return make(model, out, async (file, onProgress) => {
    const before = [...file.tensors.values()].find((tensor) => TENSOR_TYPES[tensor.type].blockElements > 1);
    if (before !== undefined) {
      console.error(`${model} is quantised already (${before.name} is ${before.type}): what that lost stays lost`);
    }
    await quantizeModel(file, out, type, onProgress);
  });
}

async function make(
  model: string,
  out: string,
  write: (file: ModelFile, onProgress: (done: number, total: number) => void) => Promise<void>,
): Promise<number> {
  // Before a model is pulled.
  await requireFolderOf("OUT.gguf", out);
  await requireFree(out);
  const file = await openModel(await localModel(model));
  try {
    await write(file, transferProgress(`Writing ${out}`));
  } finally {
    file.close();
  }
  const { size } = await Deno.stat(out);
  console.error(`${formatBytes(file.tensorBytes)} of weights became a file of ${formatBytes(size)}`);
  console.log(out);
  return EXIT_CODES.ok.code;
}
