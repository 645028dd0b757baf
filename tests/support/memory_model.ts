/** @file A model file without a file: metadata and the shapes of tensors, for tests that read no weights. */

import type { ModelFile, TensorInfo } from "../../src/formats/model_file.ts";

/** @param shapes the F32 tensors, by name; `readTensor` gives what `data` holds, or zeros */
export function memoryModel(
  format: ModelFile["format"],
  metadata: Readonly<Record<string, unknown>>,
  shapes: Readonly<Record<string, readonly number[]>>,
  data: Readonly<Record<string, Float32Array<ArrayBuffer>>> = {},
): ModelFile {
  const tensors = new Map<string, TensorInfo>(
    Object.entries(shapes).map(([name, shape]) => {
      return [name, { name, type: "F32", shape, byteLength: 4 * shape.reduce((a, b) => a * b) }];
    }),
  );
  return {
    path: "models/test.gguf",
    format,
    metadata,
    tensors,
    tensorBytes: [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0),
    readTensor: (name) =>
      Promise.resolve(
        name in data ? new Uint8Array(data[name].buffer) : new Uint8Array(tensors.get(name)!.byteLength),
      ),
    close() {},
  };
}
