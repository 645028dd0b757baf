/**
 * @file Between stored tensor bytes and plain floats, for every tensor type.
 *
 * This is the readable statement of the block layouts: the reference that the GPU kernels are tested against, and what
 * makes test models and exports. Layouts are GGML's (ggml/src/ggml-common.h); all values are little-endian. Each block
 * stores its elements as small whole numbers `q` with a shared scale, and for some types a shared minimum:
 *
 *     Q8_0        element = scale * q                         q in -128..127
 *     Q4_0, Q5_0  element = scale * (q - half)                q in 0..2*half-1, half = 8 or 16
 *     Q4_1, Q5_1  element = scale * q + minimum
 *     Q4_K, Q5_K  element = scale * s[i] * q - minimumScale * m[i]   s, m: 6 bits for each 32 elements
 *     Q6_K        element = scale * s[i] * (q - 32)           s: 8 bits for each 16 elements
 */

import { LEAST_MAGNITUDE, roundToEven, type Search, searchScale, searchScaleAndMinimum } from "./k_scales.ts";
import type { TensorType } from "./model_file.ts";
import { TENSOR_TYPES } from "./tensor_types.ts";

/** Reads and writes one block. `at` counts bytes from the start of the data, `from` counts elements. */
interface BlockCodec {
  read(data: DataView, at: number, values: Float32Array, from: number): void;
  write(data: DataView, at: number, values: Float32Array, from: number): void;
}

/** Of a type without blocks, whole tensors are read at once: element by element takes ten times as long. */
interface PlainCodec {
  readAll(bytes: Uint8Array, values: Float32Array): void;
  write(data: DataView, at: number, values: Float32Array, from: number): void;
}

/**
 * The elements of a tensor, or of a part of it that is whole blocks.
 *
 * @param bytes the blocks, in order
 * @param count number of elements
 * @returns `[count]`
 * @throws {RangeError} when `bytes` is not exactly the blocks of `count` elements
 */
export function dequantise(type: TensorType, bytes: Uint8Array, count: number): Float32Array<ArrayBuffer> {
  const { blockElements, blockBytes } = TENSOR_TYPES[type];
  if (count % blockElements !== 0 || bytes.byteLength !== count / blockElements * blockBytes) {
    throw new RangeError(
      `Cannot read ${count} elements from ${bytes.byteLength} bytes of ${type}: ` +
        `expected ${blockBytes} bytes for every ${blockElements} elements`,
    );
  }
  const values = new Float32Array(count);
  const codec = CODECS[type];
  if ("readAll" in codec) {
    codec.readAll(bytes, values);
    return values;
  }
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let from = 0, at = 0; from < count; from += blockElements, at += blockBytes) {
    codec.read(data, at, values, from);
  }
  return values;
}

/**
 * The blocks that store these elements, equal to those of GGML's reference to the bit.
 *
 * @param values finite numbers, whole blocks of them; a scale above 65504 overflows to infinity in half precision
 * @throws {RangeError} when the number of values is not a multiple of the type's block
 */
export function quantise(type: TensorType, values: Float32Array): Uint8Array<ArrayBuffer> {
  const { blockElements, blockBytes } = TENSOR_TYPES[type];
  if (values.length % blockElements !== 0) {
    throw new RangeError(`Cannot store ${values.length} elements as ${type}: expected a multiple of ${blockElements}`);
  }
  const bytes = new Uint8Array(values.length / blockElements * blockBytes);
  const data = new DataView(bytes.buffer);
  const codec = CODECS[type];
  for (let from = 0, at = 0; from < values.length; from += blockElements, at += blockBytes) {
    codec.write(data, at, values, from);
  }
  return bytes;
}

const F32: PlainCodec = {
  readAll: (bytes, values) => new Uint8Array(values.buffer).set(bytes),
  write: (data, at, values, from) => data.setFloat32(at, values[from], true),
};

const F16: PlainCodec = {
  readAll: (bytes, values) => values.set(new Float16Array(bytes.slice().buffer)),
  write: (data, at, values, from) => data.setFloat16(at, values[from], true),
};

/** The upper half of a 32-bit float, rounded to nearest even. */
const BF16: PlainCodec = {
  readAll(bytes, values) {
    const words = new Uint32Array(values.buffer);
    for (let i = 0; i < words.length; i++) words[i] = bytes[2 * i] << 16 | bytes[2 * i + 1] << 24;
  },
  write(data, at, values, from) {
    FLOAT_BITS.setFloat32(0, values[from]);
    const bits = FLOAT_BITS.getUint32(0);
    data.setUint16(at, (bits + 0x7fff + (bits >>> 16 & 1)) >>> 16, true);
  },
};

const FLOAT_BITS = new DataView(new ArrayBuffer(4));

/** f16 scale, 32 signed bytes. */
const Q8_0: BlockCodec = {
  read(data, at, values, from) {
    const scale = data.getFloat16(at, true);
    for (let i = 0; i < 32; i++) values[from + i] = scale * data.getInt8(at + 2 + i);
  },
  write(data, at, values, from) {
    const scale = Math.fround(Math.abs(largest(values, from, 32)) / 127);
    const perScale = inverse(scale);
    data.setFloat16(at, scale, true);
    for (let i = 0; i < 32; i++) {
      const scaled = Math.fround(values[from + i] * perScale);
      // Halves go away from zero, as C's roundf does; Math.round takes them upwards.
      data.setInt8(at + 2 + i, Math.sign(scaled) * Math.round(Math.abs(scaled)));
    }
  },
};

/**
 * 32 elements of 4 or 5 bits around zero:
 *
 *     f16 scale | 5 bits only: u32, bit i is the fifth bit of element i
 *     16 bytes: byte i holds the low four bits of element i, and above them those of element i + 16
 */
function centredBlock(bits: 4 | 5): BlockCodec {
  const half = 1 << (bits - 1);
  return {
    read(data, at, values, from) {
      const scale = data.getFloat16(at, true);
      const codes = readCodes(data, at + 2, bits);
      for (let i = 0; i < 32; i++) values[from + i] = scale * (codes[i] - half);
    },
    write(data, at, values, from) {
      // The scale's sign makes the largest element the code 0, which reaches one step further than the highest code.
      const scale = Math.fround(largest(values, from, 32) / -half);
      const perScale = inverse(scale);
      data.setFloat16(at, scale, true);
      const codes = CODES.map((_, i) => {
        const scaled = Math.fround(Math.fround(values[from + i] * perScale) + half + 0.5);
        return clamp(Math.trunc(scaled), 0, 2 * half - 1);
      });
      writeCodes(data, at + 2, bits, codes);
    },
  };
}

/** 32 elements of 4 or 5 bits above a minimum: f16 scale, f16 minimum, then codes as in {@linkcode centredBlock}. */
function minimumBlock(bits: 4 | 5): BlockCodec {
  const highest = (1 << bits) - 1;
  return {
    read(data, at, values, from) {
      const scale = data.getFloat16(at, true);
      const minimum = data.getFloat16(at + 2, true);
      const codes = readCodes(data, at + 4, bits);
      for (let i = 0; i < 32; i++) values[from + i] = scale * codes[i] + minimum;
    },
    write(data, at, values, from) {
      const [minimum, maximum] = range(values, from, 32);
      const scale = Math.fround(Math.fround(maximum - minimum) / highest);
      const perScale = inverse(scale);
      data.setFloat16(at, scale, true);
      data.setFloat16(at + 2, minimum, true);
      const codes = CODES.map((_, i) => {
        const scaled = Math.fround(Math.fround(Math.fround(values[from + i] - minimum) * perScale) + 0.5);
        return clamp(Math.trunc(scaled), 0, highest);
      });
      writeCodes(data, at + 4, bits, codes);
    },
  };
}

/** The codes of the block that is being read, and the shape of those of one that is written. */
const CODES = new Uint8Array(32);

/** A block's codes, good until the next call: a block takes some tens of nanoseconds, and an array of its own as long again. */
function readCodes(data: DataView, at: number, bits: 4 | 5): Uint8Array {
  const fifthBits = bits === 5 ? data.getUint32(at, true) : 0;
  const nibbles = bits === 5 ? at + 4 : at;
  for (let i = 0; i < 16; i++) {
    const byte = data.getUint8(nibbles + i);
    CODES[i] = byte & 15 | (fifthBits >>> i & 1) << 4;
    CODES[i + 16] = byte >> 4 | (fifthBits >>> i + 16 & 1) << 4;
  }
  return CODES;
}

function writeCodes(data: DataView, at: number, bits: 4 | 5, codes: Uint8Array): void {
  if (bits === 5) data.setUint32(at, codes.reduce((word, code, i) => word | (code >> 4) << i, 0), true);
  const nibbles = bits === 5 ? at + 4 : at;
  for (let i = 0; i < 16; i++) data.setUint8(nibbles + i, codes[i] & 15 | (codes[i + 16] & 15) << 4);
}

/**
 * 256 elements of 4 or 5 bits, in eight parts of 32 with a 6-bit scale and a 6-bit minimum each:
 *
 *     f16 scale | f16 minimum scale | 12 bytes: the eight scales and minima, see readPartScales
 *     5 bits only: 32 bytes, bit p of byte i is the fifth bit of element i of part p
 *     128 bytes: byte 32 p/2 + i holds the low four bits of element i of part p, the odd part above the even one
 */
function superBlock(bits: 4 | 5, search: Search): BlockCodec {
  const fifthBitsAt = 16;
  const nibblesAt = bits === 5 ? 48 : 16;
  return {
    read(data, at, values, from) {
      const scale = data.getFloat16(at, true);
      const minimumScale = data.getFloat16(at + 2, true);
      for (let part = 0; part < 8; part++) {
        const [partScale, partMinimum] = readPartScales(data, at + 4, part);
        const step = scale * partScale;
        const minimum = minimumScale * partMinimum;
        for (let i = 0; i < 32; i++) {
          let code = data.getUint8(at + nibblesAt + 32 * (part >> 1) + i) >> 4 * (part & 1) & 15;
          if (bits === 5) code |= (data.getUint8(at + fifthBitsAt + i) >> part & 1) << 4;
          values[from + 32 * part + i] = step * code - minimum;
        }
      }
    },
    write(data, at, values, from) {
      const codes = new Uint8Array(256);
      const block = values.subarray(from, from + 256);
      const parts = Array.from({ length: 8 }, (_, part) => searchScaleAndMinimum(block, 32 * part, search, codes));
      const largestScale = Math.max(0, ...parts.map(({ scale }) => scale));
      const largestMinimum = Math.max(0, ...parts.map(({ minimum }) => minimum));
      const perScale = largestScale > 0 ? Math.fround(63 / largestScale) : 0;
      const perMinimum = largestMinimum > 0 ? Math.fround(63 / largestMinimum) : 0;
      data.setFloat16(at, Math.fround(largestScale / 63), true);
      data.setFloat16(at + 2, Math.fround(largestMinimum / 63), true);
      // From here on with the scales as the reader will see them, so that the codes make up for their rounding.
      const scale = data.getFloat16(at, true);
      const minimumScale = data.getFloat16(at + 2, true);
      parts.forEach((found, part) => {
        const partScale = Math.min(63, roundToEven(Math.fround(perScale * found.scale)));
        const partMinimum = Math.min(63, roundToEven(Math.fround(perMinimum * found.minimum)));
        writePartScales(data, at + 4, part, partScale, partMinimum);
        const step = Math.fround(scale * partScale);
        const minimum = Math.fround(minimumScale * partMinimum);
        for (let i = 0; i < 32; i++) {
          const element = 32 * part + i;
          const scaled = Math.fround(Math.fround(block[element] + minimum) / step);
          // A part whose scale was rounded to nothing keeps the codes of the search, as in the reference.
          const code = step === 0 ? codes[element] : clamp(roundToEven(scaled), 0, search.levels);
          orUint8(data, at + nibblesAt + 32 * (part >> 1) + i, (code & 15) << 4 * (part & 1));
          if (bits === 5) orUint8(data, at + fifthBitsAt + i, (code >> 4) << part);
        }
      });
    },
  };
}

/**
 * The 6-bit scale and minimum of one part of a Q4_K or Q5_K block, out of 12 bytes:
 *
 *     bytes 0-3    scale of part p in the low six bits; above them the top two bits of the scale of part p + 4
 *     bytes 4-7    the same for minima
 *     bytes 8-11   low four bits of the scale of part p + 4, and above them those of its minimum
 */
function readPartScales(data: DataView, at: number, part: number): [scale: number, minimum: number] {
  const byte = (i: number) => data.getUint8(at + i);
  if (part < 4) return [byte(part) & 63, byte(part + 4) & 63];
  return [
    byte(part + 4) & 15 | (byte(part - 4) >> 6) << 4,
    byte(part + 4) >> 4 | (byte(part) >> 6) << 4,
  ];
}

function writePartScales(data: DataView, at: number, part: number, scale: number, minimum: number): void {
  if (part < 4) {
    orUint8(data, at + part, scale);
    orUint8(data, at + part + 4, minimum);
  } else {
    orUint8(data, at + part + 4, scale & 15 | (minimum & 15) << 4);
    orUint8(data, at + part - 4, (scale >> 4) << 6);
    orUint8(data, at + part, (minimum >> 4) << 6);
  }
}

/**
 * 256 elements of 6 bits around zero, in sixteen parts of 16 with a signed 8-bit scale each. The elements are two halves
 * of four runs of 32; within a half, element i of run r has
 *
 *     128 bytes    low four bits:  byte 64 half + 32 (r % 2) + i, runs 2 and 3 above runs 0 and 1
 *     64 bytes     high two bits:  byte 32 half + i, bits 2r and 2r + 1
 *     16 int8      scales of the parts
 *     f16          scale
 */
const Q6_K: BlockCodec = {
  read(data, at, values, from) {
    const scale = data.getFloat16(at + 208, true);
    for (let element = 0; element < 256; element++) {
      const { low, lowShift, high, highShift } = placeQ6(element);
      const code = data.getUint8(at + low) >> lowShift & 15 | (data.getUint8(at + high) >> highShift & 3) << 4;
      values[from + element] = scale * data.getInt8(at + 192 + (element >> 4)) * (code - 32);
    }
  },
  write(data, at, values, from) {
    const codes = new Uint8Array(256);
    const block = values.subarray(from, from + 256);
    const scales = Array.from({ length: 16 }, (_, part) => searchScale(block, 16 * part, codes));
    const largestScale = largest(scales, 0, 16);
    // Zeros throughout, as the block is made.
    if (Math.abs(largestScale) < LEAST_MAGNITUDE) return;
    const perScale = Math.fround(-128 / largestScale);
    data.setFloat16(at + 208, Math.fround(1 / perScale), true);
    const scale = data.getFloat16(at + 208, true);
    scales.forEach((found, part) => {
      const partScale = Math.min(127, roundToEven(Math.fround(perScale * found)));
      data.setInt8(at + 192 + part, partScale);
      const step = Math.fround(scale * partScale);
      for (let element = 16 * part; element < 16 * part + 16; element++) {
        const code = step === 0 ? codes[element] : clamp(roundToEven(Math.fround(block[element] / step)), -32, 31) + 32;
        const { low, lowShift, high, highShift } = placeQ6(element);
        orUint8(data, at + low, (code & 15) << lowShift);
        orUint8(data, at + high, (code >> 4) << highShift);
      }
    });
  },
};

/** Where the low and high bits of an element of a Q6_K block lie: byte offsets into the block, and shifts. */
function placeQ6(element: number): { low: number; lowShift: number; high: number; highShift: number } {
  const half = element >> 7;
  const run = element >> 5 & 3;
  const i = element & 31;
  return {
    low: 64 * half + 32 * (run & 1) + i,
    lowShift: 4 * (run >> 1),
    high: 128 + 32 * half + i,
    highShift: 2 * run,
  };
}

const CODECS: Readonly<Record<TensorType, BlockCodec | PlainCodec>> = {
  F32,
  F16,
  BF16,
  Q8_0,
  Q4_0: centredBlock(4),
  Q4_1: minimumBlock(4),
  Q5_0: centredBlock(5),
  Q5_1: minimumBlock(5),
  Q4_K: superBlock(4, { levels: 15, first: -1, steps: 20 }),
  Q5_K: superBlock(5, { levels: 31, first: -0.5, steps: 15 }),
  Q6_K,
};

/** The first of the elements with the largest magnitude, with its sign. */
function largest(values: ArrayLike<number>, from: number, count: number): number {
  let result = 0;
  for (let i = from; i < from + count; i++) {
    if (Math.abs(values[i]) > Math.abs(result)) result = values[i];
  }
  return result;
}

function range(values: Float32Array, from: number, count: number): [minimum: number, maximum: number] {
  let minimum = values[from];
  let maximum = values[from];
  for (let i = from + 1; i < from + count; i++) {
    minimum = Math.min(minimum, values[i]);
    maximum = Math.max(maximum, values[i]);
  }
  return [minimum, maximum];
}

/** 1 / x in single precision, as the reference computes it; 0 for 0, so that a block of zeros stays zero. */
function inverse(x: number): number {
  return x === 0 ? 0 : Math.fround(1 / x);
}

function clamp(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}

function orUint8(data: DataView, at: number, bits: number): void {
  data.setUint8(at, data.getUint8(at) | bits);
}
