/**
 * @file Writes a model's GGUF file tensor by tensor, so that a model may be larger than memory: under a temporary name, which
 * becomes its own when all of it is there.
 */
import { type GgufWriterValue, placeGguf } from "../formats/gguf_writer.ts";
import { type ModelFile, ModelFileError, type TensorType } from "../formats/model_file.ts";
import { quote } from "../formats/quote.ts";
import { dequantise, quantise } from "../formats/quantisation.ts";
import { TENSOR_TYPES, tensorByteLength } from "../formats/tensor_types.ts";
import { systemReason } from "../formats/system_reason.ts";

/** A tensor to write. */
export interface TensorToWrite {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: TensorType;
  /** Its data, in order: pieces of whole blocks. */
  pieces(): AsyncIterable<Uint8Array>;
}

/** How many of how many bytes of weights are written. */
export type OnProgress = (done: number, total: number) => void;

/** A file that cannot be written. */
export class OutputFileError extends Error {
  override name = "OutputFileError";
  /** @param isTaken whether there is something at its path already */
  constructor(message: string, readonly isTaken: boolean) {
    super(message);
  }
}

/** Elements that are held at once; whole blocks of every type. */
const PIECE_ELEMENTS = 2 ** 20;

/** The largest number of half precision. */
const LARGEST_F16 = 65504;

/**
 * Writes the file.
 *
 * @throws {OutputFileError} when there is something at the path already, or it cannot be written
 * @throws {ModelFileError} when a tensor cannot be read, or its type cannot hold it
 */
export async function writeModel(
  path: string,
  metadata: Readonly<Record<string, GgufWriterValue>>,
  tensors: readonly TensorToWrite[],
  onProgress: OnProgress = () => {},
): Promise<void> {
  await requireFree(path);
  const { header, starts, bytes } = placeGguf(metadata, tensors);
  const temporary = `${path}.part`;
  try {
    using file = await Deno.open(temporary, { write: true, create: true, truncate: true });
    const write = (data: Uint8Array) => {
      for (let done = 0; done < data.byteLength;) done += file.writeSync(data.subarray(done));
    };
    write(header);
    const total = tensors.reduce((sum, { type, shape }) => sum + tensorByteLength(type, shape), 0);
    let done = 0;
    for (const [index, { type, shape, pieces }] of tensors.entries()) {
      let at = starts[index];
      file.seekSync(at, Deno.SeekMode.Start);
      for await (const piece of pieces()) {
        write(piece);
        at += piece.byteLength;
        onProgress(done += piece.byteLength, total);
      }
      if (at !== starts[index] + tensorByteLength(type, shape)) throw new Error(`Tensor ${index} has ${at} bytes`);
    }
    file.truncateSync(bytes);
    file.syncDataSync();
    await requireFree(path);
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    if (error instanceof ModelFileError || error instanceof OutputFileError) throw error;
    throw new OutputFileError(`${path} cannot be written: ${systemReason(error)}`, false);
  }
}

/** @throws {OutputFileError} where there is something at the path already */
export async function requireFree(path: string): Promise<void> {
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw new OutputFileError(`${path} cannot be written: ${systemReason(error)}`, false);
  }
  throw new OutputFileError(`${path} is there already: delete it, or give another name`, true);
}

/** The data of a whole tensor of a file in another type, or as it is. */
export async function* tensorPieces(file: ModelFile, name: string, type: TensorType): AsyncIterable<Uint8Array> {
  const { type: stored, shape } = file.tensors.get(name)!;
  const { blockElements, blockBytes } = TENSOR_TYPES[stored];
  const elements = shape.reduce((product, size) => product * size, 1);
  for (let from = 0; from < elements; from += PIECE_ELEMENTS) {
    const count = Math.min(PIECE_ELEMENTS, elements - from);
    const bytes = await file.readTensor(name, from / blockElements * blockBytes, count / blockElements * blockBytes);
    yield retyped(file, name, bytes, stored, count, type);
  }
}

/**
 * Blocks in another type.
 *
 * @throws {ModelFileError} when a weight is not finite, or the type cannot hold it
 */
export function retyped(
  file: ModelFile,
  name: string,
  bytes: Uint8Array,
  stored: TensorType,
  count: number,
  type: TensorType,
): Uint8Array {
  if (type === stored) return bytes;
  const values = dequantise(stored, bytes, count);
  const most = type === "F16" ? LARGEST_F16 : Number.MAX_VALUE;
  const bad = values.find((value) => !(Math.abs(value) <= most));
  if (bad !== undefined) {
    throw new ModelFileError(
      `${file.path}: tensor ${quote(name)} holds the number ${bad}: expected one that ${type} can hold`,
    );
  }
  return quantise(type, values);
}
