/**
 * @file The queries of the last rows that a sequence generates before its cache is compressed again, of every layer: what
 * those rows attend to decides what stays.
 */
import type { Gpu } from "../gpu/gpu.ts";

export interface QueryLogShape {
  readonly layerCount: number;
  /** Elements of all query heads of a row. */
  readonly querySize: number;
  /** Rows kept of each layer: the last of every interval. */
  readonly rows: number;
  /** Rows generated between two compressions. */
  readonly interval: number;
  /** Position of the first row generated. */
  readonly firstPosition: number;
}

/** A buffer of queries, f32 `[layer][row][queryHead][headSize]`, rotated, not scaled; row 0 is the oldest. */
export class QueryLog {
  readonly buffer: GPUBuffer;
  /** Rows kept of each layer. */
  readonly rows: number;
  /** Bytes of one row, and of the rows of a layer. */
  readonly rowBytes: number;
  readonly layerBytes: number;

  constructor(readonly gpu: Gpu, readonly shape: QueryLogShape) {
    const { layerCount, querySize, rows } = shape;
    this.rows = rows;
    this.rowBytes = querySize * 4;
    this.layerBytes = rows * this.rowBytes;
    this.buffer = gpu.createBuffer("query log", layerCount * this.layerBytes);
  }

  /** The row that keeps the queries of a position; negative if none does. */
  rowOf(position: number): number {
    const { firstPosition, interval, rows } = this.shape;
    return (position - firstPosition) % interval - (interval - rows);
  }

  /** Where a row is, in bytes. */
  offset(layer: number, row = 0): number {
    return layer * this.layerBytes + row * this.rowBytes;
  }

  /** Frees the buffer. */
  destroy(): void {
    this.gpu.destroyBuffer(this.buffer);
  }
}
