/**
 * @file Reads GGUF files, versions 2 and 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (the layout is
 * drawn in gguf_layout.ts).
 *
 * The header is parsed here rather than with `@huggingface/gguf`, which takes what is missing at the end of a truncated
 * file for zeros (a header cut after 10 bytes "parses"), lets a duplicate key win silently, and reads on for seconds and
 * hundreds of megabytes when a hostile file claims millions of tensors. The tests use it as an oracle for good files.
 *
 * Nothing in the file is believed before it is checked: counts are compared with the bytes that are left before anything
 * is allocated, so a file costs time and memory in proportion to its own header.
 */

import { type ModelFile, ModelFileError, type TensorInfo, type TensorType } from "./model_file.ts";
import { basename } from "node:path";
import { alignUp, GGUF_DEFAULT_ALIGNMENT, GGUF_MAGIC, GGUF_VALUE_TYPES, type GgufValueType } from "./gguf_layout.ts";
import { HeaderCursor } from "./header_cursor.ts";
import { quote } from "./quote.ts";
import { RandomAccessFile } from "./random_access_file.ts";
import { checkParts, partPaths } from "./split_gguf.ts";
import { checkPlacement, modelFile, type StoredTensor } from "./stored_tensors.ts";
import { elementCount, TENSOR_TYPE_NAMES, TENSOR_TYPES, tensorByteLength } from "./tensor_types.ts";

/** Far above real headers, whose bulk is the vocabulary: 256,000 tokens and their merges are about 20 MB. */
const MAX_HEADER_BYTES = 64 * 2 ** 20;

/** The smallest a metadata entry can be: empty key, value type, one byte. */
const MIN_METADATA_BYTES = 8 + 4 + 1;

/** The smallest a tensor's description can be: empty name, dimension count, one dimension, type, offset. */
const MIN_TENSOR_INFO_BYTES = 8 + 4 + 8 + 4 + 8;

type ScalarType = Exclude<GgufValueType, "array">;

/** Bytes of each value type; of strings, the least that one takes. */
const VALUE_BYTES: Readonly<Record<ScalarType, number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  string: 8,
  uint64: 8,
  int64: 8,
  float64: 8,
};

/** What arrays of these types become; arrays of the others become plain arrays. */
const TYPED_ARRAYS = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
};

const VALUE_TYPE_NAMES = new Map<number, GgufValueType>(
  Object.entries(GGUF_VALUE_TYPES).map(([name, id]) => [id, name as GgufValueType]),
);

const TENSOR_TYPES_BY_ID = new Map(
  Object.entries(TENSOR_TYPES).map(([name, { ggufTypeId }]) => [ggufTypeId, name as TensorType]),
);

/** Tensor types that Ebb does not read, for the error message. */
const UNSUPPORTED_TENSOR_TYPES: Readonly<Record<number, string>> = {
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  34: "TQ1_0",
  35: "TQ2_0",
  39: "MXFP4",
  40: "NVFP4",
  41: "Q1_0",
};

/**
 * Opens a GGUF file, or all files of a model from the path of any one: reads and checks their headers, and leaves the tensors
 * to be read on demand.
 *
 * Metadata values become strings, booleans and numbers (bigints where a 64-bit number is not a safe integer). Arrays of
 * strings, booleans and 64-bit integers become plain arrays, arrays of other numbers typed arrays: the tokenizer's
 * `tokens` and `merges` are `string[]`, its `scores` a `Float32Array`, its `token_type` an `Int32Array`. The metadata
 * object has no prototype, so that looking up a key finds only what the file says.
 *
 * @throws {ModelFileError} when the file is damaged, hostile or uses something unsupported
 */
export async function openGguf(path: string): Promise<ModelFile> {
  const files: RandomAccessFile[] = [];
  const readPart = async (path: string) => {
    const file = await RandomAccessFile.open(path);
    files.push(file);
    return { path, ...readHeader(file) };
  };
  try {
    const named = await readPart(path);
    const count = partCount(named);
    if (count === 1) return modelFile({ ...named, path, format: "gguf", files });
    const paths = await partPaths(path, count);
    const parts = [];
    for (const part of paths) parts.push(basename(part) === basename(path) ? named : await readPart(part));
    checkParts(parts);
    const tensors = parts.flatMap(({ tensors }) => tensors);
    return modelFile({ path, format: "gguf", metadata: parts[0].metadata, tensors, files });
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}

/**
 * The metadata of a GGUF file as it stands there, for files that are made from it: numbers keep their type, texts their bytes.
 *
 * @returns by key: the number of the value's type and the value, as in the file
 * @throws {ModelFileError} as {@linkcode openGguf} does
 */
export async function readRawMetadata(path: string): Promise<Map<string, Uint8Array>> {
  const file = await RandomAccessFile.open(path);
  try {
    const header = new HeaderCursor(file, MAX_HEADER_BYTES);
    const places = new Map<string, readonly [start: number, end: number]>();
    readMetadata(header, readCounts(header).metadata, (key, start, end) => places.set(key, [start, end]));
    return new Map([...places].map(([key, [start, end]]) => [key, file.read(start, end - start)]));
  } finally {
    file.close();
  }
}

function readHeader(file: RandomAccessFile): { metadata: Record<string, unknown>; tensors: StoredTensor[] } {
  const header = new HeaderCursor(file, MAX_HEADER_BYTES);
  const counts = readCounts(header);
  const metadata = readMetadata(header, counts.metadata);
  const tensors = readTensorInfos(header, counts.tensors, alignmentOf(header, metadata));
  checkPlacement(tensors);
  return { metadata, tensors };
}

/** How many tensors and entries of metadata the header has; the cursor is at its start. */
function readCounts(header: HeaderCursor): { tensors: number; metadata: number } {
  checkMagicAndVersion(header);
  header.field = "tensor count";
  const tensors = header.size(MIN_TENSOR_INFO_BYTES);
  header.field = "metadata count";
  return { tensors, metadata: header.size(MIN_METADATA_BYTES) };
}

/** The number of files that the model lies in. */
function partCount({ path, metadata }: { path: string; metadata: Readonly<Record<string, unknown>> }): number {
  const count = metadata["split.count"] ?? 1;
  if (count === 0) return 1;
  if (typeof count === "number" && Number.isInteger(count) && count > 0 && count < 100_000) return count;
  throw new ModelFileError(`${path}: metadata "split.count" is ${describe(count)}: expected a number of files`);
}

function checkMagicAndVersion(header: HeaderCursor): void {
  header.field = "magic";
  const magic = header.uint32();
  if (magic !== GGUF_MAGIC) {
    throw header.error(`is 0x${magic.toString(16).padStart(8, "0")}: expected 0x46554747, the bytes "GGUF"`);
  }
  header.field = "version";
  const version = header.uint32();
  if (version !== 2 && version !== 3) {
    const bigEndian = version !== 0 && (version & 0xffff) === 0;
    throw header.error(
      bigEndian
        ? "is big-endian: expected a little-endian file, as converters write by default"
        : `is ${version}: expected 2 or 3`,
    );
  }
}

/** @param visit told of every entry where its value begins and ends, in bytes from the start of the file */
function readMetadata(
  header: HeaderCursor,
  count: number,
  visit: (key: string, start: number, end: number) => void = () => {},
): Record<string, unknown> {
  const metadata: Record<string, unknown> = Object.create(null);
  for (let i = 0; i < count; i++) {
    header.field = `key of metadata entry ${i} of ${count}`;
    const key = header.string();
    header.field = `metadata ${quote(key)}`;
    if (key in metadata) throw header.error("appears twice: expected every key once");
    const start = header.offset;
    const type = readValueType(header);
    metadata[key] = type === "array" ? readArray(header) : readScalar(header, type);
    visit(key, start, header.offset);
  }
  return metadata;
}

function readValueType(header: HeaderCursor): GgufValueType {
  const id = header.uint32();
  const type = VALUE_TYPE_NAMES.get(id);
  if (type === undefined) throw header.error(`has value type ${id}: expected 0 to ${VALUE_TYPE_NAMES.size - 1}`);
  return type;
}

function readScalar(header: HeaderCursor, type: ScalarType): string | number | bigint | boolean {
  if (type !== "bool") return header[type]();
  const value = header.uint8();
  if (value > 1) throw header.error(`is ${value}: expected 0 or 1 for a boolean`);
  return value === 1;
}

function readArray(header: HeaderCursor): unknown {
  const type = readValueType(header);
  if (type === "array") throw header.error("is an array of arrays: expected an array of plain values");
  const length = header.size(VALUE_BYTES[type]);
  if (type in TYPED_ARRAYS) {
    const bytes = header.bytes(length * VALUE_BYTES[type]);
    return new TYPED_ARRAYS[type as keyof typeof TYPED_ARRAYS](bytes.buffer);
  }
  const values = [];
  // Arrays of strings are vocabularies, whose tokens may be any bytes.
  for (let i = 0; i < length; i++) values.push(type === "string" ? header.losslessString() : readScalar(header, type));
  return values;
}

function alignmentOf(header: HeaderCursor, metadata: Record<string, unknown>): number {
  const alignment = metadata["general.alignment"] ?? GGUF_DEFAULT_ALIGNMENT;
  if (typeof alignment === "number" && alignment >= 1 && Number.isInteger(Math.log2(alignment))) return alignment;
  header.field = 'metadata "general.alignment"';
  throw header.error(`is ${describe(alignment)}: expected a power of two`);
}

function readTensorInfos(header: HeaderCursor, count: number, alignment: number): StoredTensor[] {
  const names = new Set<string>();
  const infos = Array.from({ length: count }, (_, i) => {
    header.field = `name of tensor ${i} of ${count}`;
    const info = readTensorInfo(header, alignment);
    if (names.has(info.name)) throw header.error("appears twice: expected every tensor once");
    names.add(info.name);
    return info;
  });
  const dataStart = alignUp(header.offset, alignment);
  return infos.map(({ offset, ...info }) => ({ ...info, file: header.file, start: dataStart + offset }));
}

/** One tensor's description; `offset` is in bytes from the start of the tensor data. */
function readTensorInfo(header: HeaderCursor, alignment: number): TensorInfo & { readonly offset: number } {
  const name = header.string();
  header.field = `tensor ${quote(name)}`;

  const dimensionCount = header.uint32();
  if (dimensionCount < 1 || dimensionCount > 4) {
    throw header.error(`has ${dimensionCount} dimensions: expected 1 to 4`);
  }
  const shape = Array.from({ length: dimensionCount }, () => header.uint64()).reverse();
  if (!isShape(shape)) {
    throw header.error(
      `has the shape [${shape.join(", ")}]: expected positive dimensions and fewer than 2^51 elements`,
    );
  }

  const typeId = header.uint32();
  const type = TENSOR_TYPES_BY_ID.get(typeId);
  if (type === undefined) {
    const typeName = UNSUPPORTED_TENSOR_TYPES[typeId] ?? "unknown";
    throw header.error(`has type ${typeId} (${typeName}): expected one of ${TENSOR_TYPE_NAMES.join(", ")}`);
  }
  const { blockElements } = TENSOR_TYPES[type];
  if (shape.at(-1)! % blockElements !== 0) {
    throw header.error(
      `has the shape [${shape.join(", ")}] and type ${type}: expected rows of a multiple of ${blockElements} elements`,
    );
  }

  const offset = header.uint64();
  if (typeof offset === "bigint" || offset % alignment !== 0) {
    throw header.error(`has offset ${offset}: expected a multiple of the alignment, ${alignment}, inside the file`);
  }
  return { name, type, shape, byteLength: tensorByteLength(type, shape), offset };
}

function isShape(shape: readonly (number | bigint)[]): shape is number[] {
  return shape.every((size) => typeof size === "number" && size > 0) &&
    Number.isSafeInteger(4 * elementCount(shape as number[]));
}

function describe(value: unknown): string {
  return typeof value === "string" ? quote(value) : typeof value === "object" ? "an array" : String(value);
}
