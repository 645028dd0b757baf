/**
 * @file Matrices as 8-bit numbers, each output with a scale of its own, in the order in which products read them; inputs are padded
 * with zeros to whole vectors. Vectors are f32.
 */
import type { TensorSlice } from "../../architecture/architectures.ts";
import type { Int8Matrix } from "../kernels/crew.ts";
import { COLUMN_MULTIPLE, OUTPUTS, weightIndex } from "../kernels/int8_product.ts";
import type { HeapFloats, Onnxruntime } from "../runtime/onnxruntime.ts";
import type { StoredRows } from "./stored_rows.ts";
import type { LayerWeights, WeightForm, Weights } from "./weights.ts";

/** A matrix whose elements can be looked at. */
export interface Int8Weight extends Int8Matrix {
  /** See `weightIndex`. */
  readonly values: Int8Array;
  /** `[outputs]` */
  readonly scaleValues: Float32Array;
}

/** Gate and up are one matrix: first the outputs of gate. */
export type Int8LayerWeights = LayerWeights<Int8Weight, HeapFloats, Int8Weight>;
export type Int8Weights = Weights<Int8Weight, HeapFloats, Int8Weight>;

export class Int8Form implements WeightForm<Int8Weight, HeapFloats, Int8Weight> {
  constructor(readonly runtime: Onnxruntime) {}

  async matrix(stored: StoredRows, slices: readonly TensorSlice[]): Promise<Int8Weight> {
    const inputs = slices[0].shape[1];
    const columns = roundUp(inputs, COLUMN_MULTIPLE);
    const outputs = roundUp(slices.reduce((sum, { shape }) => sum + shape[0], 0), OUTPUTS);
    const weights = this.runtime.bytes(outputs * columns);
    const scales = this.runtime.floats(outputs);
    const values = new Int8Array(weights.values.buffer, weights.address, outputs * columns);
    if (columns > inputs || outputs % OUTPUTS !== 0) values.fill(0);
    scales.values.fill(0);
    let output = 0;
    await stored.read(slices, (rows) => {
      for (let from = 0; from < rows.length; from += inputs) {
        scales.values[output] = quantiseOutput(rows, from, inputs, values, output, columns);
        output++;
      }
    });
    return { weights: weights.address, scales: scales.address, outputs, columns, values, scaleValues: scales.values };
  }

  vector(values: Float32Array): HeapFloats {
    const floats = this.runtime.floats(values.length);
    floats.values.set(values);
    return floats;
  }

  gateUp(stored: StoredRows, gate: TensorSlice, up: TensorSlice): Promise<Int8Weight> {
    return this.matrix(stored, [gate, up]);
  }
}

/** Rounds the weights of an output to 8 bits, puts them where they belong and returns their scale. */
function quantiseOutput(
  rows: Float32Array,
  from: number,
  count: number,
  target: Int8Array,
  output: number,
  columns: number,
): number {
  let largest = 0;
  for (let i = 0; i < count; i++) {
    const magnitude = Math.abs(rows[from + i]);
    if (magnitude > largest) largest = magnitude;
  }
  const perScale = largest > 0 ? 127 / largest : 0;
  for (let first = 0; first < count; first += COLUMN_MULTIPLE) {
    const at = weightIndex(output, first, columns);
    const end = Math.min(COLUMN_MULTIPLE, count - first);
    // Rounds halves up as Math.round does, in a third of the time: nothing is below -127.
    for (let i = 0; i < end; i++) target[at + i] = (rows[from + first + i] * perScale + 128.5 | 0) - 128;
  }
  return largest / 127;
}

function roundUp(count: number, multiple: number): number {
  return Math.ceil(count / multiple) * multiple;
}
