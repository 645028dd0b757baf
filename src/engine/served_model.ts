/** @file What routes are told about the model that an engine serves. */
import { basename } from "node:path";
import type { ModelConfig } from "../architecture/config.ts";
import { readPooling } from "../architecture/pooling.ts";
import type { ServedModel } from "../contract/engine.ts";
import type { ModelFile } from "../formats/model_file.ts";
import { elementCount } from "../formats/tensor_types.ts";
import type { EngineWorkerOptions } from "./protocol.ts";

/** Describes a model file, but for its sampling defaults. @throws {ModelFileError} as {@link readPooling} */
export function describeModel(
  file: ModelFile,
  config: ModelConfig,
  options: Pick<EngineWorkerOptions, "model" | "modelId">,
  contextLength: number,
): Omit<ServedModel, "sampling"> {
  const bytesByType = new Map<string, number>();
  let parameterCount = 0;
  for (const { type, byteLength, shape } of file.tensors.values()) {
    bytesByType.set(type, (bytesByType.get(type) ?? 0) + byteLength);
    parameterCount += elementCount(shape);
  }
  const [quantisation] = [...bytesByType].sort((a, b) => b[1] - a[1])[0];
  return {
    id: options.modelId ?? basename(options.model).replace(/\.gguf$/i, ""),
    contextLength,
    vocabularySize: config.vocabularySize,
    hiddenSize: config.hiddenSize,
    pooling: readPooling(file),
    parameterCount,
    weightBytes: file.tensorBytes,
    architecture: config.architecture,
    quantisation,
  };
}
