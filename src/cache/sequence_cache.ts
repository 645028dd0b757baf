/**
 * @file The KV cache of one sequence: a block table and two row counts for every layer.
 *
 *     table of a layer   [ ranked blocks ........ | recent blocks .... ]
 *                          rows by falling score    observation window, then everything generated
 *                          (slot = rank)            (or the whole prompt, where nothing is compressed)
 *
 * Both parts start in a block of their own, so cutting a layer's budget is releasing the last ranked blocks: the ids of the
 * recent blocks move left in the table, and no data moves at all.
 */
import { blocksFor } from "./block.ts";
import type { BlockPool } from "./block_pool.ts";

/** First changed entry of a table that has not changed. */
const UNCHANGED = Infinity;

/** Owns the blocks of one sequence, all in one arena. */
export class SequenceCache {
  /** Rows of each layer in its ranked blocks. */
  readonly rankedRows: Uint32Array;
  /** Rows of each layer in its recent blocks. */
  readonly recentRows: Uint32Array;
  readonly #tables: number[][];
  readonly #firstChanged: number[];

  constructor(readonly pool: BlockPool, readonly arena: number, readonly layerCount: number) {
    this.rankedRows = new Uint32Array(layerCount);
    this.recentRows = new Uint32Array(layerCount);
    this.#tables = Array.from({ length: layerCount }, () => []);
    this.#firstChanged = Array(layerCount).fill(UNCHANGED);
  }

  /** Ids of the layer's blocks within the arena, ranked first. */
  table(layer: number): readonly number[] {
    return this.#tables[layer];
  }

  /** Blocks held by all layers. */
  get blocks(): number {
    return this.#tables.reduce((sum, table) => sum + table.length, 0);
  }

  get bytes(): number {
    return this.blocks * this.pool.blockBytes;
  }

  /** Gives a layer, which must have none, its ranked rows. */
  setRanked(layer: number, rows: number): void {
    if (this.rankedRows[layer] !== 0) throw new Error(`Layer ${layer} has its ranked rows already`);
    this.#insert(layer, 0, blocksFor(rows));
    this.rankedRows[layer] = rows;
  }

  /**
   * Drops all but the first `rows` ranked rows of a layer and releases the blocks behind them. A layer never grows.
   *
   * @returns Whether the table changed
   */
  truncateRanked(layer: number, rows: number): boolean {
    if (rows > this.rankedRows[layer]) {
      throw new Error(`Cannot cut layer ${layer} to ${rows} ranked rows: it holds ${this.rankedRows[layer]}`);
    }
    const kept = blocksFor(rows);
    const released = this.#tables[layer].splice(kept, blocksFor(this.rankedRows[layer]) - kept);
    this.rankedRows[layer] = rows;
    if (released.length === 0) return false;
    this.pool.release(this.arena, released);
    this.#markChanged(layer, kept);
    return true;
  }

  /** Counts `rows` more recent rows of a layer, allocating what has not been reserved. */
  appendRecent(layer: number, rows: number): void {
    this.#insert(layer, this.#tables[layer].length, this.#missingBlocks(layer, rows));
    this.recentRows[layer] += rows;
  }

  /** Blocks that `reserveRecent(rows)` would allocate. */
  blocksToReserve(rows: number): number {
    let blocks = 0;
    for (let layer = 0; layer < this.layerCount; layer++) blocks += this.#missingBlocks(layer, rows);
    return blocks;
  }

  /** Allocates blocks so that `rows` more recent rows fit in every layer; `appendRecent` counts them once they are there. */
  reserveRecent(rows: number): void {
    for (let layer = 0; layer < this.layerCount; layer++) {
      this.#insert(layer, this.#tables[layer].length, this.#missingBlocks(layer, rows));
    }
  }

  /**
   * Lays a layer out anew for other rows: the blocks it has stay in order, those left over are released, and what lacks is
   * allocated behind them. So whatever has been recorded with the old layout finds its blocks where they were.
   */
  rearrange(layer: number, rankedRows: number, recentRows: number): void {
    const table = this.#tables[layer];
    const needed = blocksFor(rankedRows) + blocksFor(recentRows);
    if (needed < table.length) this.pool.release(this.arena, table.splice(needed));
    else this.#insert(layer, table.length, needed - table.length);
    this.rankedRows[layer] = rankedRows;
    this.recentRows[layer] = recentRows;
  }

  /**
   * Visits the tables that changed since the last call, each with the index of its first changed entry. Entries behind a
   * table's end are not visited: they are never read.
   */
  takeChanges(visit: (layer: number, firstChanged: number, table: readonly number[]) => void): void {
    for (let layer = 0; layer < this.layerCount; layer++) {
      const first = this.#firstChanged[layer];
      this.#firstChanged[layer] = UNCHANGED;
      if (first < this.#tables[layer].length) visit(layer, first, this.#tables[layer]);
    }
  }

  /** Returns every block to the pool and leaves the sequence empty. */
  release(): void {
    for (let layer = 0; layer < this.layerCount; layer++) {
      this.pool.release(this.arena, this.#tables[layer]);
      this.#tables[layer].length = 0;
      this.#firstChanged[layer] = UNCHANGED;
    }
    this.rankedRows.fill(0);
    this.recentRows.fill(0);
  }

  #missingBlocks(layer: number, rows: number): number {
    const recentBlocks = this.#tables[layer].length - blocksFor(this.rankedRows[layer]);
    return Math.max(0, blocksFor(this.recentRows[layer] + rows) - recentBlocks);
  }

  #insert(layer: number, index: number, blocks: number): void {
    if (blocks === 0) return;
    this.#tables[layer].splice(index, 0, ...this.pool.allocate(this.arena, blocks, layer));
    this.#markChanged(layer, index);
  }

  #markChanged(layer: number, index: number): void {
    this.#firstChanged[layer] = Math.min(this.#firstChanged[layer], index);
  }
}
