/** @file Writes GGUF version 3 files (see gguf_layout.ts). */

import { alignUp, GGUF_DEFAULT_ALIGNMENT, GGUF_MAGIC, GGUF_VALUE_TYPES } from "./gguf_layout.ts";
import type { TensorType } from "./model_file.ts";
import { TENSOR_TYPES, tensorByteLength } from "./tensor_types.ts";

/** A number whose type in the file is given rather than inferred. */
export interface TypedNumber {
  readonly type: "uint32" | "int32" | "float32" | "uint64" | "float64";
  readonly value: number;
}

/**
 * A metadata value. A plain number is stored as uint32 (uint64, where it does not fit) if it is whole, as int32 if it is
 * whole and negative, and as float32 otherwise; wrap it in {@linkcode float32} where the reader expects a float whatever
 * its value.
 */
export type GgufWriterValue =
  | string
  | number
  | boolean
  | TypedNumber
  | readonly string[]
  | Uint32Array
  | Int32Array
  | Float32Array;

/** A tensor to write. */
export interface GgufWriterTensor {
  readonly name: string;
  readonly type: TensorType;
  /** Row-major, outermost dimension first. */
  readonly shape: readonly number[];
  /** Exactly the bytes of the tensor's blocks, little-endian. */
  readonly data: Uint8Array;
}

/** A metadata number stored as float32 even where its value is whole, as `rope.freq_base` is. */
export function float32(value: number): TypedNumber {
  return { type: "float32", value };
}

/**
 * The bytes of a GGUF file.
 *
 * @throws {RangeError} when a tensor's data does not have the length that its type and shape require
 *
 * @example
 * ```ts
 * const file = writeGguf(
 *   { "general.architecture": "llama", "llama.block_count": 1, "llama.rope.freq_base": float32(10000) },
 *   [{ name: "output_norm.weight", type: "F32", shape: [4], data: new Uint8Array(new Float32Array(4).buffer) }],
 * );
 * ```
 */
export function writeGguf(
  metadata: Readonly<Record<string, GgufWriterValue>>,
  tensors: readonly GgufWriterTensor[],
): Uint8Array<ArrayBuffer> {
  const alignment = GGUF_DEFAULT_ALIGNMENT;
  const header = new ByteWriter();
  header.uint32(GGUF_MAGIC);
  header.uint32(3);
  header.uint64(tensors.length);
  header.uint64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    header.string(key);
    writeValue(header, value);
  }

  const offsets: number[] = [];
  let dataLength = 0;
  for (const { name, type, shape, data } of tensors) {
    const expected = tensorByteLength(type, shape);
    if (data.byteLength !== expected) {
      throw new RangeError(
        `Tensor "${name}" has ${data.byteLength} bytes of data: expected ${expected} for ${type} [${shape.join(", ")}]`,
      );
    }
    offsets.push(dataLength);
    header.string(name);
    header.uint32(shape.length);
    for (const size of shape.toReversed()) header.uint64(size);
    header.uint32(TENSOR_TYPES[type].ggufTypeId);
    header.uint64(dataLength);
    dataLength = alignUp(dataLength + data.byteLength, alignment);
  }

  const headerBytes = header.bytes();
  const dataStart = alignUp(headerBytes.byteLength, alignment);
  const file = new Uint8Array(dataStart + dataLength);
  file.set(headerBytes);
  tensors.forEach((tensor, i) => file.set(tensor.data, dataStart + offsets[i]));
  return file;
}

function writeValue(out: ByteWriter, value: GgufWriterValue): void {
  if (typeof value === "string") {
    out.uint32(GGUF_VALUE_TYPES.string);
    out.string(value);
  } else if (typeof value === "boolean") {
    out.uint32(GGUF_VALUE_TYPES.bool);
    out.uint8(value ? 1 : 0);
  } else if (typeof value === "number") {
    writeNumber(out, { type: inferNumberType(value), value });
  } else if ("value" in value) {
    writeNumber(out, value);
  } else {
    writeArray(out, value);
  }
}

function inferNumberType(value: number): TypedNumber["type"] {
  if (!Number.isSafeInteger(value) || value < -0x80000000) return "float32";
  if (value < 0) return "int32";
  return value <= 0xffffffff ? "uint32" : "uint64";
}

function writeNumber(out: ByteWriter, { type, value }: TypedNumber): void {
  out.uint32(GGUF_VALUE_TYPES[type]);
  out[type](value);
}

function writeArray(out: ByteWriter, values: readonly string[] | Uint32Array | Int32Array | Float32Array): void {
  out.uint32(GGUF_VALUE_TYPES.array);
  const type = values instanceof Float32Array
    ? "float32"
    : values instanceof Int32Array
    ? "int32"
    : values instanceof Uint32Array
    ? "uint32"
    : "string";
  out.uint32(GGUF_VALUE_TYPES[type]);
  out.uint64(values.length);
  for (const value of values) {
    if (typeof value === "string") out.string(value);
    else out[type as "uint32" | "int32" | "float32"](value);
  }
}

/**
 * Appends little-endian values to a buffer that doubles when it is full. Every method reserves its bytes before it
 * touches the view, because reserving may replace the view.
 */
class ByteWriter {
  #view = new DataView(new ArrayBuffer(4096));
  #length = 0;

  uint8(value: number): void {
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
  }

  uint32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  int32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setInt32(at, value, true);
  }

  float32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setFloat32(at, value, true);
  }

  uint64(value: number): void {
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  float64(value: number): void {
    const at = this.#reserve(8);
    this.#view.setFloat64(at, value, true);
  }

  /** A string is its length in bytes followed by its UTF-8 bytes. */
  string(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.uint64(bytes.length);
    const at = this.#reserve(bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, at);
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#view.buffer, 0, this.#length);
  }

  /** Makes room for `size` bytes and returns where they start. */
  #reserve(size: number): number {
    const start = this.#length;
    this.#length += size;
    if (this.#length > this.#view.byteLength) {
      const grown = new Uint8Array(2 * this.#length);
      grown.set(new Uint8Array(this.#view.buffer, 0, start));
      this.#view = new DataView(grown.buffer);
    }
    return start;
  }
}
