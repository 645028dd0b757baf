/** @file ggml's K-quants: super-blocks of 256 elements, whose groups have small scales that share one large one. */
import { BYTES16, NIBBLES32, packNibbles } from "./packed_quants.ts";
import type { WeightFormat } from "./weight_format.ts";

/** Reads the eight 6-bit (scale, minimum) pairs of a Q4_K or Q5_K block into bytes scale0, minimum0, scale1, ... */
function unpackScales(bytes: Uint8Array, at: number, target: Uint8Array, offset: number): void {
  for (let j = 0; j < 8; j++) {
    const scale = j < 4 ? bytes[at + j] & 63 : (bytes[at + j + 4] & 15) | (bytes[at + j - 4] >> 6) << 4;
    const minimum = j < 4 ? bytes[at + j + 4] & 63 : bytes[at + j + 4] >> 4 | (bytes[at + j] >> 6) << 4;
    target[offset + 2 * j] = scale;
    target[offset + 2 * j + 1] = minimum;
  }
}

/** scale and offset of a 32-element group of a K-quant: d * scale6, -dmin * minimum6. */
const K_SCALES = (group: string, block: string, s: string) => `
    let pair${s} = plane1[${group} >> 1u] >> ((${group} & 1u) * 16u);
    let d${s} = unpack2x16float(plane2[${block}]);
    let scale${s} = d${s}.x * f32(pair${s} & 255u);
    let offset${s} = -d${s}.y * f32((pair${s} >> 8u) & 255u);`;

/** Writes the bytes of two words in turn, a0 b0 a1 b1 ..., as two words. */
function pairBytes(a: number, b: number, target: Uint32Array, at: number): void {
  target[at] = (a & 255) | (b & 255) << 8 | (a >>> 8 & 255) << 16 | (b >>> 8 & 255) << 24;
  target[at + 1] = (a >>> 16 & 255) | (b >>> 16 & 255) << 8 | (a >>> 24) << 16 | (b >>> 24) << 24;
}

/**
 * 144 bytes for 256 elements: f16 d, f16 dmin, 8 six-bit (scale, minimum) pairs, nibbles in four runs of 32 bytes whose
 * low halves come before their high halves. Planes: nibbles; (scale, minimum) bytes; (d, dmin).
 */
export const Q4_K: WeightFormat = {
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
export const Q5_K: WeightFormat = {
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
export const Q6_K: WeightFormat = {
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
