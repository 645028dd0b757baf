/**
 * @file The KV cache of one sequence: a block table and row counts for every layer.
 *
 *     table of a layer   [ ranked blocks ........ | recent blocks .... ]
 *                          rows by falling score    observation window, then everything generated
 *                          (slot = rank)            (or the whole prompt, where nothing is compressed)
 *
 * Both parts start in a block of their own, so cutting a layer's budget is releasing the last ranked blocks: the ids of the
 * recent blocks move left in the table, and no data moves at all.
 *
 * That holds while all KV heads of a layer keep the same number of ranked rows: head h has slot h of every block. Once they
 * keep different numbers, the layer is packed: its ranked blocks are dealt out slot by slot, one head after the other, so that
 * at most one slot per head is part empty and less than one block's worth of slots is free.
 *
 *     interleaved   block 0 | head 0 | head 1 | head 2 |      packed   block 0 | head 0 | head 0 | head 0 |
 *                   block 1 | head 0 | head 1 | head 2 |               block 1 | head 1 | head 2 | head 2 |
 *                   block 2 | head 0 | head 1 | head 2 |
 *
 * Packing copies slots to other blocks, and so does cutting a packed layer by a block or more.
 *
 * Where rows are evicted while tokens are generated and the prompt's are left alone, the generated ones are laid out anew among
 * the recent ones, so that their tail can be cut as well:
 *
 *     recent rows   [ the prompt's | window of the last eviction | generated rows by falling score | generated since ]
 *
 * The first recent blocks of a sequence that keeps every row can be shared with others, see prefix_index.ts: rows are appended
 * behind them, never to them.
 */
import { BLOCK_ROWS, blocksFor } from "./block.ts";
import type { BlockPool } from "./block_pool.ts";

/** First changed entry of a table that has not changed. */
const UNCHANGED = Infinity;

/** The ranked rows of a packed layer, by KV head. */
export interface PackedHeads {
  readonly rows: Uint32Array;
  /** Where each head's slots begin among the slots of the layer's ranked blocks. */
  readonly firstSlots: Uint32Array;
}

/** Owns the blocks of one sequence, all in one arena. */
export class SequenceCache {
  /** Rows of each layer in its ranked blocks; of its longest head where it is packed. */
  readonly rankedRows: Uint32Array;
  /** Ranked blocks of each packed layer, 0 for all others. */
  readonly packedBlocks: Uint32Array;
  /** Rows of each layer in its recent blocks. */
  readonly recentRows: Uint32Array;
  /** Of these, generated rows that the last eviction ranked. */
  readonly rankedGenerated: Uint32Array;
  readonly #tables: number[][];
  readonly #heads: (PackedHeads | null)[];
  readonly #firstChanged: number[];
  readonly #headsChanged: boolean[];

  constructor(readonly pool: BlockPool, readonly arena: number, readonly layerCount: number) {
    this.rankedRows = new Uint32Array(layerCount);
    this.packedBlocks = new Uint32Array(layerCount);
    this.recentRows = new Uint32Array(layerCount);
    this.rankedGenerated = new Uint32Array(layerCount);
    this.#heads = Array(layerCount).fill(null);
    this.#tables = Array.from({ length: layerCount }, () => []);
    this.#firstChanged = Array(layerCount).fill(UNCHANGED);
    this.#headsChanged = Array(layerCount).fill(false);
  }

  /** Ids of the layer's blocks within the arena, ranked first. */
  table(layer: number): readonly number[] {
    return this.#tables[layer];
  }

  /** The heads of a packed layer; `null` where all heads have the layer's ranked rows. */
  packedHeads(layer: number): PackedHeads | null {
    return this.#heads[layer];
  }

  /** Ranked rows of every KV head of a layer, `[kvHeadCount]`. */
  headRows(layer: number, kvHeadCount: number): Uint32Array {
    return this.#heads[layer]?.rows.slice() ?? new Uint32Array(kvHeadCount).fill(this.rankedRows[layer]);
  }

  /** Rows that each layer holds; the mean of its KV heads. */
  rowsPerLayer(kvHeadCount: number): number[] {
    return Array.from(this.recentRows, (recent, layer) => {
      const ranked = this.headRows(layer, kvHeadCount).reduce((sum, rows) => sum + rows);
      return ranked / kvHeadCount + recent;
    });
  }

  /** Ranked blocks of a layer. */
  rankedBlocks(layer: number): number {
    return this.#heads[layer] ? this.packedBlocks[layer] : blocksFor(this.rankedRows[layer]);
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
    this.#checkNotPacked(layer);
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

  /**
   * Drops all but the first `rows[h]` ranked rows of every KV head h of a layer, and releases what that frees. No head ever
   * grows. The new blocks are allocated before the old ones are released.
   *
   * @returns slots of the arena to copy, (source, target) for each; the copies must run before anything else that writes to
   * the arena, and sources and targets have no slot in common. Empty where nothing has to move
   */
  truncateHeads(layer: number, rows: ArrayLike<number>): Uint32Array<ArrayBuffer> {
    const headCount = rows.length;
    const heads = this.#heads[layer];
    const heldBlocks = this.rankedBlocks(layer);
    for (let head = 0; head < headCount; head++) {
      const held = heads ? heads.rows[head] : this.rankedRows[layer];
      if (rows[head] > held) {
        throw new Error(`Cannot cut head ${head} of layer ${layer} to ${rows[head]} ranked rows: it holds ${held}`);
      }
    }
    const kept = Uint32Array.from(rows);
    if (heads === null && kept.every((count) => count === kept[0])) {
      this.truncateRanked(layer, kept[0]);
      return new Uint32Array();
    }
    const slots = kept.map(blocksFor);
    const blocks = Math.ceil(slots.reduce((sum, count) => sum + count) / headCount);
    this.rankedRows[layer] = Math.max(...kept);
    this.#headsChanged[layer] = true;
    if (heads && blocks === this.packedBlocks[layer]) {
      // Slots that are freed stay with their head until they make a block.
      this.#heads[layer] = { rows: kept, firstSlots: heads.firstSlots };
      return new Uint32Array();
    }

    const table = this.#tables[layer];
    const ids = this.pool.allocate(this.arena, blocks, layer);
    const slotOf = (ids: ArrayLike<number>, slot: number) =>
      ids[Math.floor(slot / headCount)] * headCount + slot % headCount;
    const moves: number[] = [];
    const firstSlots = new Uint32Array(headCount);
    let next = 0;
    for (let head = 0; head < headCount; head++) {
      firstSlots[head] = next;
      for (let i = 0; i < slots[head]; i++) {
        const source = heads ? heads.firstSlots[head] + i : i * headCount + head;
        moves.push(slotOf(table, source), slotOf(ids, next++));
      }
    }
    this.pool.release(this.arena, table.splice(0, heldBlocks, ...ids));
    this.#heads[layer] = { rows: kept, firstSlots };
    this.packedBlocks[layer] = blocks;
    this.#markChanged(layer, 0);
    return Uint32Array.from(moves);
  }

  /**
   * Starts every layer of an empty sequence with recent rows in blocks that others hold or the pool keeps.
   *
   * @param rows a multiple of `BLOCK_ROWS`
   * @param table ids of a layer's blocks
   */
  share(rows: number, table: (layer: number) => ArrayLike<number>): void {
    if (rows === 0) return;
    for (let layer = 0; layer < this.layerCount; layer++) {
      if (this.#tables[layer].length > 0) {
        throw new Error(`Layer ${layer} has rows already: it cannot start with others'`);
      }
      const ids = Array.from(table(layer));
      this.pool.retain(this.arena, ids);
      this.#tables[layer].push(...ids);
      this.recentRows[layer] = rows;
      this.#markChanged(layer, 0);
    }
  }

  /**
   * Counts `rows` more recent rows of a layer, allocating what has not been reserved.
   *
   * @throws {Error} If they would be written to a block that is shared
   */
  appendRecent(layer: number, rows: number): void {
    const next = this.#tables[layer][this.rankedBlocks(layer) + Math.floor(this.recentRows[layer] / BLOCK_ROWS)];
    if (rows > 0 && next !== undefined) this.pool.checkWritable(this.arena, next);
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

  /** Forgets the last `rows` recent rows of every layer. Their blocks stay, for the rows to come. */
  dropRecent(rows: number): void {
    if (this.recentRows.some((held) => held < rows)) {
      throw new Error(`Cannot drop ${rows} recent rows: layers hold ${this.recentRows.join(", ")}`);
    }
    for (let layer = 0; layer < this.layerCount; layer++) this.recentRows[layer] -= rows;
  }

  /**
   * Lays a layer out anew for other rows: the blocks it has stay in order, those left over are released, and what lacks is
   * allocated behind them. So whatever has been recorded with the old layout finds its blocks where they were.
   */
  rearrange(layer: number, rankedRows: number, recentRows: number): void {
    this.#checkNotPacked(layer);
    const table = this.#tables[layer];
    for (const id of table) this.pool.checkWritable(this.arena, id);
    const needed = blocksFor(rankedRows) + blocksFor(recentRows);
    if (needed < table.length) this.pool.release(this.arena, table.splice(needed));
    else this.#insert(layer, table.length, needed - table.length);
    this.rankedRows[layer] = rankedRows;
    this.recentRows[layer] = recentRows;
  }

  /**
   * Leaves of a layer's recent rows the first `before` and `ranked` generated ones behind them, and releases the blocks that follow.
   */
  keepGenerated(layer: number, before: number, ranked: number): void {
    if (before + ranked > this.recentRows[layer]) {
      throw new Error(
        `Cannot keep ${before + ranked} recent rows of layer ${layer}: it holds ${this.recentRows[layer]}`,
      );
    }
    this.recentRows[layer] = before + ranked;
    this.rankedGenerated[layer] = ranked;
    const table = this.#tables[layer];
    this.pool.release(this.arena, table.splice(this.rankedBlocks(layer) + blocksFor(before + ranked)));
  }

  /** Drops all but the first `rows` ranked generated rows of a layer, while none has been generated since. A layer never grows. */
  truncateGenerated(layer: number, rows: number): void {
    const held = this.rankedGenerated[layer];
    if (rows > held) throw new Error(`Cannot cut layer ${layer} to ${rows} generated rows: it holds ${held}`);
    this.keepGenerated(layer, this.recentRows[layer] - held, rows);
  }

  /**
   * Visits the tables that changed since the last call, each with the index of its first changed entry. Entries behind a
   * table's end are not visited: they are never read.
   *
   * @param visit `heads` are those of a packed layer, where they changed
   */
  takeChanges(
    visit: (layer: number, firstChanged: number, table: readonly number[], heads: PackedHeads | null) => void,
  ): void {
    for (let layer = 0; layer < this.layerCount; layer++) {
      const first = this.#firstChanged[layer];
      const heads = this.#headsChanged[layer] ? this.#heads[layer] : null;
      this.#firstChanged[layer] = UNCHANGED;
      this.#headsChanged[layer] = false;
      const table = this.#tables[layer];
      if (first < table.length || heads) visit(layer, Math.min(first, table.length), table, heads);
    }
  }

  /** Returns every block to the pool and leaves the sequence empty. */
  release(): void {
    for (let layer = 0; layer < this.layerCount; layer++) {
      this.pool.release(this.arena, this.#tables[layer]);
      this.#tables[layer].length = 0;
      this.#firstChanged[layer] = UNCHANGED;
      this.#headsChanged[layer] = false;
    }
    this.rankedRows.fill(0);
    this.packedBlocks.fill(0);
    this.recentRows.fill(0);
    this.rankedGenerated.fill(0);
    this.#heads.fill(null);
  }

  #checkNotPacked(layer: number): void {
    if (this.#heads[layer]) throw new Error(`The heads of layer ${layer} hold different numbers of ranked rows`);
  }

  #missingBlocks(layer: number, rows: number): number {
    const recentBlocks = this.#tables[layer].length - this.rankedBlocks(layer);
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
