/**
 * @file The keys and values that a sequence holds of one layer, in onnxruntime's memory.
 *
 *     head 0  [ ranked rows | recent rows | room ]   head 1  [ ranked rows | recent rows | room ]   ...
 *
 * The rows of a head lie side by side, so that attention reads them where they are. How many there may be is kept by the books of
 * src/cache, in blocks; there is room here for as many rows as a head's blocks have, and it changes with them. Ranked rows lie in
 * the order of their scores, so what a smaller budget drops is their end; the recent rows then move up.
 */
import { BLOCK_ROWS, blocksFor } from "../../cache/block.ts";
import type { HeapFloats, Onnxruntime } from "../runtime/onnxruntime.ts";

/** Keys and values that rows are taken from, `[rows, headSize]` of each KV head. */
export interface SourceRows {
  keys(head: number): Float32Array;
  values(head: number): Float32Array;
}

export class LayerRows {
  /** Ranked rows of each KV head. */
  readonly ranked: Uint32Array;
  /** Recent rows, of every head. */
  recent = 0;
  /** Rows that there is room for, and the first of them, of each KV head. */
  readonly #capacities: Uint32Array;
  readonly #starts: Uint32Array;
  #keys: HeapFloats | null = null;
  #values: HeapFloats | null = null;

  constructor(readonly runtime: Onnxruntime, readonly kvHeadCount: number, readonly headSize: number) {
    this.ranked = new Uint32Array(kvHeadCount);
    this.#capacities = new Uint32Array(kvHeadCount);
    this.#starts = new Uint32Array(kvHeadCount);
  }

  /** Whether nothing has been stored yet. */
  get isEmpty(): boolean {
    return this.#keys === null;
  }

  /** Whether all heads hold the same number of rows. */
  get isEven(): boolean {
    return this.ranked.every((rows) => rows === this.ranked[0]);
  }

  /** Rows of a head. */
  rows(head: number): number {
    return this.ranked[head] + this.recent;
  }

  /** Rows that there is room for in a head; those behind the last one are zero, or what once was there. */
  capacity(head: number): number {
    return this.#capacities[head];
  }

  /** All elements; a head's start at {@link firstElement}. */
  get keys(): Float32Array<ArrayBuffer> {
    return this.#keys!.values;
  }

  get values(): Float32Array<ArrayBuffer> {
    return this.#values!.values;
  }

  /** What is held of each head. */
  get source(): SourceRows {
    const part = (all: Float32Array) => (head: number) => {
      const first = this.firstElement(head);
      return all.subarray(first, first + this.rows(head) * this.headSize);
    };
    return { keys: part(this.keys), values: part(this.values) };
  }

  firstElement(head: number): number {
    return this.#starts[head] * this.headSize;
  }

  /** Addresses of the first key and the first value of a head, in bytes. */
  keyAddress(head: number): number {
    return this.#keys!.address + this.firstElement(head) * 4;
  }

  valueAddress(head: number): number {
    return this.#values!.address + this.firstElement(head) * 4;
  }

  /**
   * Takes the place of what there is: the rows of `indices`, by head, in this order, then `recent` rows from `recentFrom` on.
   *
   * @param recentBlocks blocks of recent rows that the books hold
   */
  fill(
    source: SourceRows,
    indices: readonly Uint32Array[],
    recentFrom: number,
    recent: number,
    recentBlocks: number,
  ): void {
    const { headSize, kvHeadCount } = this;
    const copy = (_: Layout, { keys, values, starts }: Layout) => {
      for (let head = 0; head < kvHeadCount; head++) {
        for (const [from, to] of [[source.keys(head), keys!.values], [source.values(head), values!.values]]) {
          let at = starts[head] * headSize;
          for (const index of indices[head]) {
            to.set(from.subarray(index * headSize, (index + 1) * headSize), at);
            at += headSize;
          }
          to.set(from.subarray(recentFrom * headSize, (recentFrom + recent) * headSize), at);
        }
      }
    };
    // The source may be what there is now, which stays until it has been copied.
    this.#arrange(indices.map(({ length }) => length), recentBlocks, copy);
    this.recent = recent;
  }

  /** Drops all but the first `ranked[h]` ranked rows of every head. */
  truncate(ranked: ArrayLike<number>, recentBlocks: number): void {
    if (Array.from(ranked).every((rows, head) => rows === this.ranked[head])) return;
    this.#arrange(ranked, recentBlocks, this.#copyKept);
  }

  /** Makes room for as many recent rows as the books hold blocks for. */
  reserve(recentBlocks: number): void {
    if (this.#capacities[0] === BLOCK_ROWS * (blocksFor(this.ranked[0]) + recentBlocks)) return;
    this.#arrange(this.ranked.slice(), recentBlocks, this.#copyKept);
  }

  /** Adds a recent row, for which there must be room: `[kvHead][headSize]` from the given elements on. */
  append(keys: Float32Array, keysFrom: number, values: Float32Array, valuesFrom: number): void {
    const { headSize, kvHeadCount } = this;
    for (let head = 0; head < kvHeadCount; head++) {
      const at = (this.#starts[head] + this.rows(head)) * headSize;
      this.keys.set(keys.subarray(keysFrom + head * headSize, keysFrom + (head + 1) * headSize), at);
      this.values.set(values.subarray(valuesFrom + head * headSize, valuesFrom + (head + 1) * headSize), at);
    }
    this.recent++;
  }

  /**
   * Leaves of the recent rows the first `before`, then those of `indices`, by head, in this order, and `last` from `lastFrom` on; both count
   * from the first row behind the former.
   */
  keepRecent(before: number, indices: readonly Uint32Array[], lastFrom: number, last: number): void {
    const { headSize } = this;
    indices.forEach((own, head) => {
      const first = this.firstElement(head) + (this.ranked[head] + before) * headSize;
      for (const elements of [this.keys, this.values]) {
        const rows = elements.slice(first, first + (this.recent - before) * headSize);
        own.forEach((index, i) =>
          elements.set(rows.subarray(index * headSize, (index + 1) * headSize), first + i * headSize)
        );
        elements.set(rows.subarray(lastFrom * headSize, (lastFrom + last) * headSize), first + own.length * headSize);
      }
    });
    this.recent = before + indices[0].length + last;
  }

  /** Forgets recent rows in the middle: those behind them move up. */
  dropAmongRecent(first: number, rows: number): void {
    if (rows === 0) return;
    for (let head = 0; head < this.kvHeadCount; head++) {
      const at = (row: number) => this.firstElement(head) + (this.ranked[head] + row) * this.headSize;
      for (const elements of [this.keys, this.values]) {
        elements.copyWithin(at(first), at(first + rows), at(this.recent));
      }
    }
    this.recent -= rows;
  }

  /** Forgets the last recent rows. */
  dropRecent(rows: number): void {
    this.recent -= rows;
  }

  /** Gives the memory back. */
  free(): void {
    if (this.#keys !== null) this.runtime.free(this.#keys);
    if (this.#values !== null) this.runtime.free(this.#values);
    this.#keys = this.#values = null;
    this.#capacities.fill(0);
    this.ranked.fill(0);
    this.recent = 0;
  }

  /** Lays the heads out for other ranked rows; `copy` brings over what is kept. */
  #arrange(ranked: ArrayLike<number>, recentBlocks: number, copy: (from: Layout, to: Layout) => void): void {
    const from: Layout = {
      keys: this.#keys,
      values: this.#values,
      starts: this.#starts.slice(),
      ranked: this.ranked.slice(),
    };
    let total = 0;
    for (let head = 0; head < this.kvHeadCount; head++) {
      this.#starts[head] = total;
      this.#capacities[head] = BLOCK_ROWS * (blocksFor(ranked[head]) + recentBlocks);
      total += this.#capacities[head];
    }
    this.#keys = this.runtime.floats(total * this.headSize);
    this.#values = this.runtime.floats(total * this.headSize);
    // A product with what has never been written could be no number.
    this.#keys.values.fill(0);
    this.#values.values.fill(0);
    this.ranked.set(Uint32Array.from(ranked));
    copy(from, { keys: this.#keys, values: this.#values, starts: this.#starts, ranked: this.ranked });
    if (from.keys !== null) this.runtime.free(from.keys);
    if (from.values !== null) this.runtime.free(from.values);
  }

  readonly #copyKept = (from: Layout, to: Layout): void => {
    const { headSize, kvHeadCount, recent } = this;
    for (const part of ["keys", "values"] as const) {
      const source = from[part]!.values;
      const target = to[part]!.values;
      for (let head = 0; head < kvHeadCount; head++) {
        const move = (fromRow: number, toRow: number, rows: number) => {
          const at = (from.starts[head] + fromRow) * headSize;
          target.set(source.subarray(at, at + rows * headSize), (to.starts[head] + toRow) * headSize);
        };
        move(0, 0, to.ranked[head]);
        move(from.ranked[head], to.ranked[head], recent);
      }
    }
  };
}

interface Layout {
  readonly keys: HeapFloats | null;
  readonly values: HeapFloats | null;
  readonly starts: Uint32Array;
  readonly ranked: Uint32Array;
}
