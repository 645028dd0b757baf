/** @file ggml's legacy quants, as llama.cpp calls them: blocks of 32 elements with a scale each. */
import { BYTES16, NIBBLES32, packNibbles } from "./packed_quants.ts";
import type { WeightFormat } from "./weight_format.ts";

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

/** 34 bytes: f16 d, 32 signed bytes. Planes: quants; d. */
export const Q8_0: WeightFormat = {
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
export const Q4_0: WeightFormat = {
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
export const Q4_1: WeightFormat = {
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

export const Q5_0 = fiveBits("Q5_0");

export const Q5_1 = fiveBits("Q5_1");
