/**
 * @file What a GGUF file looks like: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 *     magic, version, tensor count, metadata count
 *     metadata:     key, value type, value                         x metadata count
 *     tensor infos: name, dimensions, type, offset into the data   x tensor count
 *     padding to the alignment
 *     tensor data, each tensor padded to the alignment
 *
 * All numbers are little-endian. Magic, version and type numbers are uint32; counts, lengths, dimensions and offsets are
 * uint64. A string is its length in bytes and its UTF-8 bytes; an array is its element type, its length and its elements.
 * Dimensions are stored innermost first, the reverse of Ebb's shapes.
 */

/** The file's first four bytes, "GGUF", as a little-endian number. */
export const GGUF_MAGIC = 0x46554747;

/** What tensor data is aligned to where `general.alignment` does not say otherwise. */
export const GGUF_DEFAULT_ALIGNMENT = 32;

/** The numbers that name the types of metadata values in a file. */
export const GGUF_VALUE_TYPES = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;

export type GgufValueType = keyof typeof GGUF_VALUE_TYPES;

/** The smallest multiple of `alignment` that is at least `offset`. */
export function alignUp(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
