/**
 * @file What a sequence remembers between two evictions of its own rows while it generates: the last queries, which score the
 * rows, and the attention that its rows have been paid, where that is summed.
 */

export interface DecodeMemoryShape {
  readonly layerCount: number;
  /** Elements of all query heads of a row. */
  readonly querySize: number;
  /** Queries kept of each layer: the last of every interval. */
  readonly queries: number;
  /** Rows generated between two evictions. */
  readonly interval: number;
  /** Position of the first row generated. */
  readonly firstPosition: number;
}

/** Attention that rows have been paid, by KV head: of the ranked rows, then of the window's. */
export interface CarriedSums {
  readonly ranked: readonly Float32Array[];
  readonly window: readonly Float32Array[];
}

export class DecodeMemory {
  /** `[layer][row][queryHead][headSize]`, rotated; row 0 is the oldest. */
  readonly queries: Float32Array;
  /** By layer; null where nothing has been summed yet. */
  readonly sums: (CarriedSums | null)[];

  constructor(readonly shape: DecodeMemoryShape) {
    const { layerCount, querySize, queries } = shape;
    this.queries = new Float32Array(layerCount * queries * querySize);
    this.sums = Array(layerCount).fill(null);
  }

  /** Keeps the queries of a position, if they are among those that will be asked. */
  keepQueries(layer: number, position: number, row: Float32Array): void {
    const { firstPosition, interval, queries, querySize } = this.shape;
    const place = (position - firstPosition) % interval - (interval - queries);
    if (place >= 0) this.queries.set(row, (layer * queries + place) * querySize);
  }

  /** The queries of a layer, `[row][queryHead][headSize]`. */
  layerQueries(layer: number): Float32Array {
    const { queries, querySize } = this.shape;
    return this.queries.subarray(layer * queries * querySize, (layer + 1) * queries * querySize);
  }
}
