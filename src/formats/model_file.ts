/**
 * @file What a model on disk looks like to the rest of Ebb, whatever format it came in.
 *
 * A model file is metadata plus named tensors whose bytes are read on demand, in chunks, so that a file larger than
 * memory's comfort can be uploaded piece by piece.
 */

/** The element types that Ebb reads. Quantised types are stored in blocks of 32 or 256 elements (see tensor_types.ts). */
export type TensorType =
  | "F32"
  | "F16"
  | "BF16"
  | "Q8_0"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K";

/** A tensor's place in a model file. */
export interface TensorInfo {
  readonly name: string;
  readonly type: TensorType;
  /** Row-major, outermost dimension first: a matrix is `[rows, columns]`, and a row's elements are contiguous. */
  readonly shape: readonly number[];
  /** Size of the tensor's data in bytes. */
  readonly byteLength: number;
}

/** An open model: validated header, lazily read tensors. */
export interface ModelFile {
  /** The file or directory as the user named it. */
  readonly path: string;
  readonly format: "gguf" | "safetensors";
  /**
   * GGUF: the file's key-value metadata (`general.architecture`, `llama.block_count`, `tokenizer.ggml.tokens`, ...).
   * safetensors: the parsed `config.json`.
   */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Total size of all tensors' data in bytes. */
  readonly tensorBytes: number;
  /**
   * Reads bytes `[offset, offset + length)` of a tensor's data.
   *
   * @throws {ModelFileError} when the range lies outside the tensor or the file ends early
   */
  readTensor(name: string, offset?: number, length?: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): void;
}

/** A model file that is damaged, hostile, or uses something Ebb does not support. The message names the field. */
export class ModelFileError extends Error {
  override name = "ModelFileError";
}
