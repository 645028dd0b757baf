/** @file How quants lie in the planes of several formats, and the WGSL that loads them. */

/** Writes 4-bit quants so that the low nibbles of a word's bytes are its first four elements, the high ones the next. */
export function packNibbles(quants: Uint8Array, target: Uint8Array, offset: number): void {
  for (let i = 0, o = offset; i < quants.length; i += 8) {
    for (let j = 0; j < 4; j++) target[o++] = quants[i + j] | (quants[i + 4 + j] << 4);
  }
}

/** q0..q3 of 16 unsigned bytes of plane 0. */
export const BYTES16 = (index: string, s: string, unpack: string) => `
    let bytes${s} = plane0[${index}];
    let q${s}_0 = vec4<f32>(${unpack}(bytes${s}.x)); let q${s}_1 = vec4<f32>(${unpack}(bytes${s}.y));
    let q${s}_2 = vec4<f32>(${unpack}(bytes${s}.z)); let q${s}_3 = vec4<f32>(${unpack}(bytes${s}.w));`;

/** q0..q7 of 32 nibbles of plane 0. */
export const NIBBLES32 = (index: string, s: string) => `
    let words${s} = plane0[${index}];
    ${
  ["x", "y", "z", "w"].map((c, i) =>
    `let q${s}_${2 * i} = low_nibbles(words${s}.${c}); let q${s}_${2 * i + 1} = high_nibbles(words${s}.${c});`
  ).join("\n    ")
}`;
