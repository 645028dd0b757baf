/** @file Writes safetensors files for tests. */

import type { TensorType } from "../../src/formats/model_file.ts";
import { concatenate, uint64, utf8 } from "./files.ts";

export interface SafetensorsEntry {
  readonly name: string;
  readonly type: TensorType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A file with these tensors one after the other. */
export function writeSafetensors(tensors: readonly SafetensorsEntry[]): Uint8Array<ArrayBuffer> {
  let end = 0;
  const header = Object.fromEntries(tensors.map(({ name, type, shape, data }) => {
    const start = end;
    end += data.byteLength;
    return [name, { dtype: type, shape, data_offsets: [start, end] }];
  }));
  return safetensorsFile(JSON.stringify({ __metadata__: { format: "pt" }, ...header }), ...tensors.map((t) => t.data));
}

/** A file with this header, whatever it says. */
export function safetensorsFile(header: string, ...data: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = utf8(header);
  return concatenate(uint64(bytes.length), bytes, ...data);
}
