/**
 * @file The attention that the rows a sequence holds have been paid so far, carried from one compression of its cache to the
 * next: the scorer `attention-sums` adds to it while tokens are generated.
 */
import type { Gpu } from "../gpu/gpu.ts";

export interface CarriedAttentionShape {
  readonly layerCount: number;
  readonly kvHeadCount: number;
  /** Most rows that a compression leaves in a layer. */
  readonly rows: number;
}

/** A buffer of sums, f32 `[layer][kvHead][row]`: the ranked rows of a layer, then its window. */
export class CarriedAttention {
  readonly buffer: GPUBuffer;
  /** Ranked rows of each layer when its sums were taken; fewer may be held by now. The window's sums follow theirs. */
  readonly rankedRows: Uint32Array;
  /** Rows of each layer's window; 0 where nothing is carried yet. */
  readonly windowRows: Uint32Array;

  constructor(readonly gpu: Gpu, readonly shape: CarriedAttentionShape) {
    const { layerCount, kvHeadCount, rows } = shape;
    this.buffer = gpu.createBuffer("carried attention", layerCount * kvHeadCount * rows * 4);
    this.rankedRows = new Uint32Array(layerCount);
    this.windowRows = new Uint32Array(layerCount);
  }

  /** Where a row's sum is, in bytes. */
  offset(layer: number, kvHead: number, row = 0): number {
    const { kvHeadCount, rows } = this.shape;
    return ((layer * kvHeadCount + kvHead) * rows + row) * 4;
  }

  /** Frees the buffer. */
  destroy(): void {
    this.gpu.destroyBuffer(this.buffer);
  }
}
