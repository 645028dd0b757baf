/**
 * @file Matrices as 8-bit numbers in the order in which products read them; inputs are padded with zeros to whole vectors. Each output
 * has a scale of its own, and those of query, key and value one for every 64 inputs: they are the ones whose rounding shows. Vectors are
 * f32.
 */
import type { TensorSlice } from "../../architecture/architectures.ts";
import type { Int8Matrix } from "../kernels/crew.ts";
import { COLUMN_MULTIPLE, LARGEST_GROUP, OUTPUTS, scaleIndex, weightIndex } from "../kernels/int8_product.ts";
import type { HeapFloats, Onnxruntime } from "../runtime/onnxruntime.ts";
import type { StoredRows } from "./stored_rows.ts";
import type { LayerWeights, WeightForm, Weights } from "./weights.ts";

/** A matrix whose elements can be looked at. */
export interface Int8Weight extends Int8Matrix {
  /** See `weightIndex`. */
  readonly values: Int8Array;
  /** See `scaleIndex`. */
  readonly scaleValues: Float32Array;
}

/** Inputs that share a scale, for each output of query, key and value. */
export const QUERY_KEY_VALUE_GROUP = 64;

/** Gate and up are one matrix: first the outputs of gate. */
export type Int8LayerWeights = LayerWeights<Int8Weight, HeapFloats, Int8Weight>;
export type Int8Weights = Weights<Int8Weight, HeapFloats, Int8Weight>;

export class Int8Form implements WeightForm<Int8Weight, HeapFloats, Int8Weight> {
  constructor(readonly runtime: Onnxruntime) {}

  async matrix(stored: StoredRows, slices: readonly TensorSlice[], group = LARGEST_GROUP): Promise<Int8Weight> {
    const inputs = slices[0].shape[1];
    const columns = roundUp(inputs, COLUMN_MULTIPLE);
    const groups = Math.ceil(columns / group);
    const outputs = roundUp(slices.reduce((sum, { shape }) => sum + shape[0], 0), OUTPUTS);
    const weights = this.runtime.bytes(outputs * columns);
    const scales = this.runtime.floats(outputs * groups);
    const values = new Int8Array(weights.values.buffer, weights.address, outputs * columns);
    if (columns > inputs || outputs % OUTPUTS !== 0) values.fill(0);
    scales.values.fill(0);
    let output = 0;
    await stored.read(slices, (rows) => {
      for (let from = 0; from < rows.length; from += inputs) {
        for (let i = 0; i < groups; i++) {
          const first = i * group;
          const last = Math.min(first + group, inputs);
          scales.values[scaleIndex(output, i, groups)] = quantise(rows, from, first, last, values, output, columns);
        }
        output++;
      }
    });
    const [scaleValues, { address }] = [scales.values, weights];
    return { weights: address, scales: scales.address, group, outputs, columns, values, scaleValues };
  }

  queryKeyValue(stored: StoredRows, slices: readonly TensorSlice[]): Promise<Int8Weight> {
    return this.matrix(stored, slices, QUERY_KEY_VALUE_GROUP);
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

/** Rounds weights `first` to `last` of an output to 8 bits, puts them where they belong and returns their scale. */
function quantise(
  rows: Float32Array,
  from: number,
  first: number,
  last: number,
  target: Int8Array,
  output: number,
  columns: number,
): number {
  let largest = 0;
  for (let i = first; i < last; i++) {
    const magnitude = Math.abs(rows[from + i]);
    if (magnitude > largest) largest = magnitude;
  }
  const perScale = largest > 0 ? 127 / largest : 0;
  for (let column = first; column < last; column += COLUMN_MULTIPLE) {
    const at = weightIndex(output, column, columns);
    const end = Math.min(COLUMN_MULTIPLE, last - column);
    // Rounds halves up as Math.round does, in a third of the time: nothing is below -127.
    for (let i = 0; i < end; i++) target[at + i] = (rows[from + column + i] * perScale + 128.5 | 0) - 128;
  }
  return largest / 127;
}

function roundUp(count: number, multiple: number): number {
  return Math.ceil(count / multiple) * multiple;
}
