/**
 * @file How weight matrices lie in GPU memory.
 *
 * Model files interleave quants and scales in blocks of 18 to 210 bytes, which a GPU can only load in scraps. At load
 * every matrix is repacked, without loss, into aligned planes: one of quants, the others of scales. A *unit* is the run
 * of a row's elements that one load of the quant plane yields; units of a matrix are numbered row by row.
 *
 *     file    | d q q q q | d q q q q | ...           one block after the other
 *     planes  | q q q q   | q q q q   | ...           plane 0: 8 or 16 bytes a unit
 *             | d d ...                               planes 1..: scales
 *
 * Every format decodes to `value = scale * q + offset`, with q as floats: kernels multiply by scale once per unit.
 * Block layouts: ggml's `block_q*` structures as the GGUF specification names them.
 */
import type { TensorType } from "../../formats/model_file.ts";

/** Columns of every matrix on the GPU are padded with zeros to a multiple of this. */
export const COLUMN_MULTIPLE = 32;

/** A storage format of weights and the code that reads it. */
export interface WeightFormat {
  readonly type: TensorType;
  /** Elements of a unit; a multiple of 4 that divides {@link COLUMN_MULTIPLE}. */
  readonly unit: number;
  /** WGSL element type of each plane. */
  readonly planes: readonly string[];
  /** Bytes of each plane per unit; may be a fraction. */
  readonly planeBytesPerUnit: readonly number[];
  /** Whether `scale` is other than 1, and `offset` other than 0. */
  readonly hasScale: boolean;
  readonly hasOffset: boolean;
  /**
   * WGSL statements that declare `q{s}_0`.. (vec4<f32>, `unit / 4` of them), `scale{s}` and `offset{s}` for the unit
   * whose index is the WGSL expression `index`; `s` is a suffix that keeps the names apart.
   */
  load(index: string, s: string): string;
  /**
   * Repacks whole rows as they lie in the file.
   *
   * @param bytes `rows` rows of `columns` elements in the file's layout
   * @param columns elements of a row; rows are padded with zeros to a multiple of {@link COLUMN_MULTIPLE}
   * @returns the planes' bytes for these rows
   */
  pack(bytes: Uint8Array<ArrayBuffer>, rows: number, columns: number): Uint8Array<ArrayBuffer>[];
}

/** Elements of a row on the GPU: `columns` rounded up to a multiple of {@link COLUMN_MULTIPLE}. */
export function paddedColumns(columns: number): number {
  return Math.ceil(columns / COLUMN_MULTIPLE) * COLUMN_MULTIPLE;
}

/** WGSL declarations of a format's planes as read-only storage from `@binding(first)` on, named `plane0`, `plane1`, ... */
export function planeDeclarations(format: WeightFormat, first: number): string {
  return format.planes.map((type, index) =>
    `@group(0) @binding(${first + index}) var<storage, read> plane${index}: array<${type}>;`
  ).join("\n");
}

/** WGSL functions that the formats' `load` statements call. */
export const WEIGHT_FUNCTIONS = `
fn half_of(word: u32, upper: bool) -> f32 {
  let halves = unpack2x16float(word);
  return select(halves.x, halves.y, upper);
}
fn low_nibbles(word: u32) -> vec4<f32> { return vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)); }
fn high_nibbles(word: u32) -> vec4<f32> { return vec4<f32>(unpack4xU8((word >> 4u) & 0x0f0f0f0fu)); }
`;

const NO_SCALE = (s: string) => `let scale${s} = 1.0; let offset${s} = 0.0;`;

/** Copies rows of plain floats, zero-padding each to the column multiple. */
function packFloats(elementBytes: number) {
  return (bytes: Uint8Array<ArrayBuffer>, rows: number, columns: number): Uint8Array<ArrayBuffer>[] => {
    const padded = paddedColumns(columns);
    if (padded === columns) return [bytes];
    const plane = new Uint8Array(rows * padded * elementBytes);
    const rowBytes = columns * elementBytes;
    for (let row = 0; row < rows; row++) {
      plane.set(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), row * padded * elementBytes);
    }
    return [plane];
  };
}

/** Writes 4-bit quants so that the low nibbles of a word's bytes are its first four elements, the high ones the next. */
function packNibbles(quants: Uint8Array, target: Uint8Array, offset: number): void {
  for (let i = 0, o = offset; i < quants.length; i += 8) {
    for (let j = 0; j < 4; j++) target[o++] = quants[i + j] | (quants[i + 4 + j] << 4);
  }
}

/** Bits of the f16 `factor * value`, for a `factor` that is a power of two (exact unless it overflows). */
function scaledHalf(bits: number, factor: number): number {
  const half = new Float16Array(1);
  const view = new Uint16Array(half.buffer);
  view[0] = bits;
  half[0] = half[0] * factor;
  return view[0];
}

/** Splits a 32-element block of Q4_0, Q4_1, Q5_0 or Q5_1 into its quants: element j low nibble, j + 16 high nibble. */
function unpackBlock32(bytes: Uint8Array, quantsAt: number, highBitsAt: number | null, quants: Uint8Array): void {
  const high = highBitsAt === null
    ? 0
    : bytes[highBitsAt] | bytes[highBitsAt + 1] << 8 | bytes[highBitsAt + 2] << 16 | bytes[highBitsAt + 3] << 24;
  for (let j = 0; j < 16; j++) {
    const byte = bytes[quantsAt + j];
    quants[j] = (byte & 15) | ((high >>> j & 1) << 4);
    quants[j + 16] = byte >> 4 | ((high >>> (j + 16) & 1) << 4);
  }
}

/** Reads the eight 6-bit (scale, minimum) pairs of a Q4_K or Q5_K block into bytes scale0, minimum0, scale1, ... */
function unpackScales(bytes: Uint8Array, at: number, target: Uint8Array, offset: number): void {
  for (let j = 0; j < 8; j++) {
    const scale = j < 4 ? bytes[at + j] & 63 : (bytes[at + j + 4] & 15) | (bytes[at + j - 4] >> 6) << 4;
    const minimum = j < 4 ? bytes[at + j + 4] & 63 : bytes[at + j + 4] >> 4 | (bytes[at + j] >> 6) << 4;
    target[offset + 2 * j] = scale;
    target[offset + 2 * j + 1] = minimum;
  }
}

/** Writes the bytes of two words in turn, a0 b0 a1 b1 ..., as two words. */
function pairBytes(a: number, b: number, target: Uint32Array, at: number): void {
  target[at] = (a & 255) | (b & 255) << 8 | (a >>> 8 & 255) << 16 | (b >>> 8 & 255) << 24;
  target[at + 1] = (a >>> 16 & 255) | (b >>> 16 & 255) << 8 | (a >>> 24) << 16 | (b >>> 24) << 24;
}

/** scale and offset of a 32-element group of a K-quant: d * scale6, -dmin * minimum6. */
const K_SCALES = (group: string, block: string, s: string) => `
    let pair${s} = plane1[${group} >> 1u] >> ((${group} & 1u) * 16u);
    let d${s} = unpack2x16float(plane2[${block}]);
    let scale${s} = d${s}.x * f32(pair${s} & 255u);
    let offset${s} = -d${s}.y * f32((pair${s} >> 8u) & 255u);`;

/** q0..q3 of 16 unsigned bytes of plane 0. */
const BYTES16 = (index: string, s: string, unpack: string) => `
    let bytes${s} = plane0[${index}];
    let q${s}_0 = vec4<f32>(${unpack}(bytes${s}.x)); let q${s}_1 = vec4<f32>(${unpack}(bytes${s}.y));
    let q${s}_2 = vec4<f32>(${unpack}(bytes${s}.z)); let q${s}_3 = vec4<f32>(${unpack}(bytes${s}.w));`;

/** q0..q7 of 32 nibbles of plane 0. */
const NIBBLES32 = (index: string, s: string) => `
    let words${s} = plane0[${index}];
    ${
  ["x", "y", "z", "w"].map((c, i) =>
    `let q${s}_${2 * i} = low_nibbles(words${s}.${c}); let q${s}_${2 * i + 1} = high_nibbles(words${s}.${c});`
  ).join("\n    ")
}`;

const F32: WeightFormat = {
  type: "F32",
  unit: 4,
  planes: ["vec4<f32>"],
  planeBytesPerUnit: [16],
  hasScale: false,
  hasOffset: false,
  load: (index, s) => `let q${s}_0 = plane0[${index}]; ${NO_SCALE(s)}`,
  pack: packFloats(4),
};

const F16: WeightFormat = {
  type: "F16",
  unit: 8,
  planes: ["vec4<u32>"],
  planeBytesPerUnit: [16],
  hasScale: false,
  hasOffset: false,
  load: (index, s) => `
    let words${s} = plane0[${index}];
    let q${s}_0 = vec4<f32>(unpack2x16float(words${s}.x), unpack2x16float(words${s}.y));
    let q${s}_1 = vec4<f32>(unpack2x16float(words${s}.z), unpack2x16float(words${s}.w));
    ${NO_SCALE(s)}`,
  pack: packFloats(2),
};

const BF16: WeightFormat = {
  ...F16,
  type: "BF16",
  load: (index, s) => `
    let words${s} = plane0[${index}];
    let low${s} = bitcast<vec4<f32>>(words${s} << vec4<u32>(16u));
    let high${s} = bitcast<vec4<f32>>(words${s} & vec4<u32>(0xffff0000u));
    let q${s}_0 = vec4<f32>(low${s}.x, high${s}.x, low${s}.y, high${s}.y);
    let q${s}_1 = vec4<f32>(low${s}.z, high${s}.z, low${s}.w, high${s}.w);
    ${NO_SCALE(s)}`,
};

/** 34 bytes: f16 d, 32 signed bytes. Planes: quants; d. */
const Q8_0: WeightFormat = {
  type: "Q8_0",
  unit: 16,
  planes: ["vec4<u32>", "u32"],
  planeBytesPerUnit: [16, 1],
  hasScale: true,
  hasOffset: false,
  load: (index, s) => `
    ${BYTES16(index, s, "unpack4xI8")}
    let scale${s} = half_of(plane1[${index} >> 2u], (${index} & 2u) != 0u); let offset${s} = 0.0;`,
  pack(bytes, rows, columns) {
    const blocks = rows * columns / 32;
    const quants = new Uint8Array(blocks * 32);
    const scales = new Uint8Array(blocks * 2);
    for (let block = 0, at = 0; block < blocks; block++, at += 34) {
      scales[2 * block] = bytes[at];
      scales[2 * block + 1] = bytes[at + 1];
      quants.set(bytes.subarray(at + 2, at + 34), block * 32);
    }
    return [quants, scales];
  },
};

/** 18 bytes: f16 d, 32 nibbles; value = d * (q - 8). Planes: nibbles; d. */
const Q4_0: WeightFormat = {
  type: "Q4_0",
  unit: 32,
  planes: ["vec4<u32>", "u32"],
  planeBytesPerUnit: [16, 2],
  hasScale: true,
  hasOffset: true,
  load: (index, s) => `
    ${NIBBLES32(index, s)}
    let scale${s} = half_of(plane1[${index} >> 1u], (${index} & 1u) != 0u); let offset${s} = -8.0 * scale${s};`,
  pack(bytes, rows, columns) {
    const blocks = rows * columns / 32;
    const nibbles = new Uint8Array(blocks * 16);
    const scales = new Uint8Array(blocks * 2);
    const quants = new Uint8Array(32);
    for (let block = 0, at = 0; block < blocks; block++, at += 18) {
      scales[2 * block] = bytes[at];
      scales[2 * block + 1] = bytes[at + 1];
      unpackBlock32(bytes, at + 2, null, quants);
      packNibbles(quants, nibbles, block * 16);
    }
    return [nibbles, scales];
  },
};

/** 20 bytes: f16 d, f16 m, 32 nibbles; value = d * q + m. Planes: nibbles; (d, m). */
const Q4_1: WeightFormat = {
  type: "Q4_1",
  unit: 32,
  planes: ["vec4<u32>", "u32"],
  planeBytesPerUnit: [16, 4],
  hasScale: true,
  hasOffset: true,
  load: (index, s) => `
    ${NIBBLES32(index, s)}
    let d${s} = unpack2x16float(plane1[${index}]); let scale${s} = d${s}.x; let offset${s} = d${s}.y;`,
  pack(bytes, rows, columns) {
    const blocks = rows * columns / 32;
    const nibbles = new Uint8Array(blocks * 16);
    const scales = new Uint8Array(blocks * 4);
    const quants = new Uint8Array(32);
    for (let block = 0, at = 0; block < blocks; block++, at += 20) {
      scales.set(bytes.subarray(at, at + 4), 4 * block);
      unpackBlock32(bytes, at + 4, null, quants);
      packNibbles(quants, nibbles, block * 16);
    }
    return [nibbles, scales];
  },
};

/** Five-bit quants are held as bytes: value = d * q + m. Planes: bytes; (d, m). */
function fiveBits(type: "Q5_0" | "Q5_1"): WeightFormat {
  const [blockBytes, highBitsAt] = type === "Q5_0" ? [22, 2] : [24, 4];
  return {
    type,
    unit: 16,
    planes: ["vec4<u32>", "u32"],
    planeBytesPerUnit: [16, 2],
    hasScale: true,
    hasOffset: true,
    load: (index, s) => `
    ${BYTES16(index, s, "unpack4xU8")}
    let d${s} = unpack2x16float(plane1[${index} >> 1u]); let scale${s} = d${s}.x; let offset${s} = d${s}.y;`,
    pack(bytes, rows, columns) {
      const blocks = rows * columns / 32;
      const quants = new Uint8Array(blocks * 32);
      const scales = new Uint16Array(blocks * 2);
      for (let block = 0, at = 0; block < blocks; block++, at += blockBytes) {
        const d = bytes[at] | bytes[at + 1] << 8;
        scales[2 * block] = d;
        // Q5_0 has no minimum of its own: value = d * (q - 16).
        scales[2 * block + 1] = type === "Q5_0" ? scaledHalf(d, -16) : bytes[at + 2] | bytes[at + 3] << 8;
        unpackBlock32(bytes, at + highBitsAt + 4, at + highBitsAt, quants.subarray(block * 32, block * 32 + 32));
      }
      return [quants, new Uint8Array(scales.buffer)];
    },
  };
}

/**
 * 144 bytes for 256 elements: f16 d, f16 dmin, 8 six-bit (scale, minimum) pairs, nibbles in four runs of 32 bytes whose
 * low halves come before their high halves. Planes: nibbles; (scale, minimum) bytes; (d, dmin).
 */
const Q4_K: WeightFormat = {
  type: "Q4_K",
  unit: 32,
  planes: ["vec4<u32>", "u32", "u32"],
  planeBytesPerUnit: [16, 2, 0.5],
  hasScale: true,
  hasOffset: true,
  load: (index, s) => `${NIBBLES32(index, s)}${K_SCALES(index, `${index} >> 3u`, s)}`,
  pack(bytes, rows, columns) {
    const blocks = rows * columns / 256;
    // Large models are of this type, so that it goes by words: 8 quants or 4 scales at a time.
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, blocks * 36);
    const nibbles = new Uint32Array(blocks * 32);
    const pairs = new Uint32Array(blocks * 4);
    const scales = new Uint32Array(blocks);
    for (let block = 0, at = 0, out = 0; block < blocks; block++, at += 36) {
      scales[block] = words[at];
      // The first four scales and minimums have a word each; the last four share the third, and their upper bits the others.
      const [low, high, rest] = [words[at + 1], words[at + 2], words[at + 3]];
      pairBytes(low & 0x3f3f3f3f, high & 0x3f3f3f3f, pairs, 4 * block);
      const lastScales = (rest & 0x0f0f0f0f) | (low >>> 2 & 0x30303030);
      pairBytes(lastScales, (rest >>> 4 & 0x0f0f0f0f) | (high >>> 2 & 0x30303030), pairs, 4 * block + 2);
      for (let run = at + 4; run < at + 36; run += 8, out += 8) {
        for (let i = 0; i < 4; i++) {
          const a = words[run + 2 * i];
          const b = words[run + 2 * i + 1];
          nibbles[out + i] = (a & 0x0f0f0f0f) | (b & 0x0f0f0f0f) << 4;
          nibbles[out + 4 + i] = (a >>> 4 & 0x0f0f0f0f) | (b & 0xf0f0f0f0);
        }
      }
    }
    return [nibbles, pairs, scales].map(({ buffer }) => new Uint8Array(buffer));
  },
};

/** 176 bytes for 256 elements: as Q4_K with 32 bytes of fifth bits before the nibbles. Planes: bytes; pairs; (d, dmin). */
const Q5_K: WeightFormat = {
  type: "Q5_K",
  unit: 16,
  planes: ["vec4<u32>", "u32", "u32"],
  planeBytesPerUnit: [16, 1, 0.25],
  hasScale: true,
  hasOffset: true,
  load: (index, s) => `${BYTES16(index, s, "unpack4xU8")}${K_SCALES(`(${index} >> 1u)`, `${index} >> 4u`, s)}`,
  pack(bytes, rows, columns) {
    const blocks = rows * columns / 256;
    const quants = new Uint8Array(blocks * 256);
    const pairs = new Uint8Array(blocks * 16);
    const scales = new Uint8Array(blocks * 4);
    for (let block = 0, at = 0; block < blocks; block++, at += 176) {
      scales.set(bytes.subarray(at, at + 4), 4 * block);
      unpackScales(bytes, at + 4, pairs, 16 * block);
      for (let run = 0; run < 4; run++) {
        for (let j = 0; j < 32; j++) {
          const byte = bytes[at + 48 + run * 32 + j];
          const high = bytes[at + 16 + j] >> (2 * run);
          quants[block * 256 + run * 64 + j] = (byte & 15) | (high & 1) << 4;
          quants[block * 256 + run * 64 + 32 + j] = byte >> 4 | (high & 2) << 3;
        }
      }
    }
    return [quants, pairs, scales];
  },
};

/**
 * 210 bytes for 256 elements: low nibbles, pairs of high bits, a signed scale per 16 elements, f16 d; value =
 * d * scale * (q - 32). Planes: nibbles; high bits; scales; d.
 */
const Q6_K: WeightFormat = {
  type: "Q6_K",
  unit: 16,
  planes: ["vec2<u32>", "u32", "u32", "u32"],
  planeBytesPerUnit: [8, 4, 1, 0.125],
  hasScale: true,
  hasOffset: true,
  load: (index, s) => `
    let low${s} = plane0[${index}];
    let high${s} = plane1[${index}];
    ${
    ["low_nibbles(L.x)", "high_nibbles(L.x)", "low_nibbles(L.y)", "high_nibbles(L.y)"].map((nibbles, i) =>
      `let q${s}_${i} = ${nibbles.replace("L", `low${s}`)} + 16.0 * vec4<f32>(unpack4xU8((high${s} >> ${
        2 * i
      }u) & 0x03030303u));`
    ).join("\n    ")
  }
    let signed${s} = i32(plane2[${index} >> 2u] << (24u - (${index} & 3u) * 8u)) >> 24u;
    let scale${s} = half_of(plane3[${index} >> 5u], (${index} & 16u) != 0u) * f32(signed${s});
    let offset${s} = -32.0 * scale${s};`,
  pack(bytes, rows, columns) {
    const blocks = rows * columns / 256;
    const nibbles = new Uint8Array(blocks * 128);
    const high = new Uint8Array(blocks * 64);
    const scales = new Uint8Array(blocks * 16);
    const d = new Uint8Array(blocks * 2);
    const quants = new Uint8Array(256);
    const lows = new Uint8Array(256);
    for (let block = 0, at = 0; block < blocks; block++, at += 210) {
      for (let half = 0; half < 2; half++) {
        for (let j = 0; j < 32; j++) {
          const a = bytes[at + half * 64 + j];
          const b = bytes[at + half * 64 + 32 + j];
          const h = bytes[at + 128 + half * 32 + j];
          const q = half * 128 + j;
          quants[q] = (a & 15) | (h & 3) << 4;
          quants[q + 32] = (b & 15) | (h >> 2 & 3) << 4;
          quants[q + 64] = a >> 4 | (h >> 4 & 3) << 4;
          quants[q + 96] = b >> 4 | h >> 6 << 4;
        }
      }
      for (let i = 0; i < 256; i++) lows[i] = quants[i] & 15;
      packNibbles(lows, nibbles, block * 128);
      // Byte j of a unit's word holds the high bits of elements j, j + 4, j + 8 and j + 12.
      for (let unit = 0; unit < 16; unit++) {
        for (let j = 0; j < 4; j++) {
          const q = unit * 16 + j;
          high[block * 64 + unit * 4 + j] = quants[q] >> 4 | quants[q + 4] >> 4 << 2 | quants[q + 8] >> 4 << 4 |
            quants[q + 12] >> 4 << 6;
        }
      }
      scales.set(bytes.subarray(at + 192, at + 208), block * 16);
      d.set(bytes.subarray(at + 208, at + 210), block * 2);
    }
    return [nibbles, high, scales, d];
  },
};

const FORMATS: readonly WeightFormat[] = [
  F32,
  F16,
  BF16,
  Q8_0,
  Q4_0,
  Q4_1,
  fiveBits("Q5_0"),
  fiveBits("Q5_1"),
  Q4_K,
  Q5_K,
  Q6_K,
];

/** The format in which weights of a tensor type are held. */
export function weightFormat(type: TensorType): WeightFormat {
  return FORMATS.find((format) => format.type === type)!;
}
