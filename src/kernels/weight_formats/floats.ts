/** @file Weights as plain floats: rows as they lie in the file, padded. */
import { paddedColumns, type WeightFormat } from "./weight_format.ts";

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

export const F32: WeightFormat = {
  type: "F32",
  unit: 4,
  planes: ["vec4<f32>"],
  planeBytesPerUnit: [16],
  hasScale: false,
  hasOffset: false,
  load: (index, s) => `let q${s}_0 = plane0[${index}]; ${NO_SCALE(s)}`,
  pack: packFloats(4),
};

export const F16: WeightFormat = {
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

export const BF16: WeightFormat = {
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
