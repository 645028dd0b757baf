/** @file Fills rows of hidden states with the embeddings of their tokens. */
import type { Binding, Gpu } from "../gpu/gpu.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { embedDispatch, embedKernel } from "../kernels/forward/embed.ts";
import type { Rows } from "./project.ts";
import type { Matrix, Projection } from "./weights.ts";

export class Embedder {
  readonly #parts: { readonly matrix: Matrix; readonly offset: number; readonly binding: Binding }[];

  /**
   * @param ids u32: token ids by row of x, or by slot
   * @param slots u32: the slot of each row of x; only read when recording by slot
   */
  constructor(
    gpu: Gpu,
    table: Projection,
    readonly vocabulary: number,
    ids: GPUBuffer,
    slots: GPUBuffer,
    readonly x: Rows,
  ) {
    this.#parts = table.parts.map(({ matrix, offset }) => ({
      matrix,
      offset,
      binding: gpu.binding(embedKernel(matrix.format), [...matrix.planes, ids, slots, x.buffer]),
    }));
  }

  /** Records the look-up of rows `first` to `first + count` of x. */
  record(recorder: Recorder, first: number, count: number, bySlot: boolean): void {
    for (const { matrix, offset, binding } of this.#parts) {
      const dispatch = embedDispatch({
        format: matrix.format,
        columns: this.x.stride,
        vocabulary: this.vocabulary,
        firstId: offset,
        idCount: matrix.rows,
        first,
        count,
        bySlot,
      });
      recorder.dispatch(binding, dispatch);
    }
  }
}
