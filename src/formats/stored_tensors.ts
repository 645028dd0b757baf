/** @file The part of reading that GGUF and safetensors share: named tensors, each a range of bytes of a file. */

import { type ModelFile, ModelFileError, type TensorInfo } from "./model_file.ts";
import { quote } from "./quote.ts";
import type { RandomAccessFile } from "./random_access_file.ts";

export interface StoredTensor extends TensorInfo {
  readonly file: RandomAccessFile;
  /** Where the data starts, in bytes from the start of the file. */
  readonly start: number;
}

/**
 * Checks that the tensors of one file lie inside it and do not overlap.
 *
 * @throws {ModelFileError} naming the tensor, its range and what it collides with
 */
export function checkPlacement(tensors: readonly StoredTensor[]): void {
  const end = (tensor: StoredTensor) => tensor.start + tensor.byteLength;
  const inOrder = tensors.toSorted((a, b) => a.start - b.start);
  inOrder.forEach((tensor, i) => {
    const { name, file, start } = tensor;
    if (end(tensor) > file.size) {
      throw new ModelFileError(
        `${file.path}: tensor ${quote(name)} lies at bytes ${start} to ${end(tensor)}, ` +
          `but the file has ${file.size} bytes: expected all of it inside the file, which may be incomplete`,
      );
    }
    const next = inOrder[i + 1];
    if (next !== undefined && next.start < end(tensor)) {
      throw new ModelFileError(
        `${file.path}: tensor ${quote(next.name)} starts at byte ${next.start}, inside tensor ${quote(name)}, ` +
          `which lies at bytes ${start} to ${end(tensor)}: expected tensors that do not overlap`,
      );
    }
  });
}

/** A {@linkcode ModelFile} over the tensors; closing it closes all of their files. */
export function modelFile(
  { path, format, metadata, tensors, files }: Pick<ModelFile, "path" | "format" | "metadata"> & {
    readonly tensors: readonly StoredTensor[];
    readonly files: readonly RandomAccessFile[];
  },
): ModelFile {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return {
    path,
    format,
    metadata,
    tensors: new Map(tensors.map(({ name, type, shape, byteLength }) => [name, { name, type, shape, byteLength }])),
    tensorBytes: tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0),
    // deno-lint-ignore require-await -- a wrong argument must reject, not throw
    async readTensor(name, offset = 0, length) {
      const tensor = byName.get(name);
      if (tensor === undefined) throw new ModelFileError(`${path} has no tensor ${quote(name)}`);
      length ??= tensor.byteLength - offset;
      if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
        throw new ModelFileError(
          `Cannot read ${length} bytes at ${offset} of tensor ${quote(name)}: expected whole numbers, not negative`,
        );
      }
      if (offset + length > tensor.byteLength) {
        throw new ModelFileError(
          `Cannot read bytes ${offset} to ${offset + length} of tensor ${quote(name)}: ` +
            `expected a range within its ${tensor.byteLength} bytes`,
        );
      }
      return tensor.file.read(tensor.start + offset, length);
    },
    close() {
      for (const file of files) file.close();
    },
  };
}
