/**
 * @file Weights as f32 in onnxruntime's memory: matrices as `[inputs, outputs]`, the way that one row times a matrix reads them
 * from the first byte to the last. Files hold them as `[outputs, inputs]`, so each chunk is turned.
 */
import type { TensorSlice } from "../../architecture/architectures.ts";
import type { HeapFloats, Onnxruntime } from "../runtime/onnxruntime.ts";
import { type Tensor, tensor } from "../runtime/session.ts";
import type { StoredRows } from "./stored_rows.ts";
import type { WeightForm, Weights } from "./weights.ts";

/** A weight in the module's memory. */
export interface F32Weight {
  readonly floats: HeapFloats;
  readonly tensor: Tensor;
}

interface GateUp {
  readonly gate: F32Weight;
  readonly up: F32Weight;
}

export type F32Weights = Weights<F32Weight, F32Weight, GateUp>;

/** Rows of a chunk that are turned together, so that their elements go side by side into whole cache lines. */
const TURNED_ROWS = 16;

export class F32Form implements WeightForm<F32Weight, F32Weight, GateUp> {
  constructor(readonly runtime: Onnxruntime) {}

  async matrix(stored: StoredRows, slices: readonly TensorSlice[]): Promise<F32Weight> {
    const inputs = slices[0].shape[1];
    const outputs = slices.reduce((sum, { shape }) => sum + shape[0], 0);
    const floats = this.runtime.floats(inputs * outputs);
    let column = 0;
    await stored.read(slices, (rows) => {
      turn(rows, inputs, floats.values.subarray(column), outputs);
      column += rows.length / inputs;
    });
    return { floats, tensor: tensor(this.runtime.module, floats.address, [inputs, outputs]) };
  }

  queryKeyValue(stored: StoredRows, slices: readonly TensorSlice[]): Promise<F32Weight> {
    return this.matrix(stored, slices);
  }

  vector(values: Float32Array): F32Weight {
    const floats = this.runtime.floats(values.length);
    floats.values.set(values);
    return { floats, tensor: tensor(this.runtime.module, floats.address, [values.length]) };
  }

  async gateUp(stored: StoredRows, gate: TensorSlice, up: TensorSlice): Promise<GateUp> {
    return { gate: await this.matrix(stored, [gate]), up: await this.matrix(stored, [up]) };
  }
}

/** Writes rows of `columns` elements as the first columns of `target`, whose rows have `stride` elements. */
function turn(rows: Float32Array, columns: number, target: Float32Array, stride: number): void {
  const count = rows.length / columns;
  for (let first = 0; first < count; first += TURNED_ROWS) {
    const last = Math.min(first + TURNED_ROWS, count);
    for (let k = 0; k < columns; k++) {
      const at = k * stride;
      for (let row = first; row < last; row++) target[at + row] = rows[row * columns + k];
    }
  }
}
