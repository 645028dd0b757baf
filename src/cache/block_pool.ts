/**
 * @file The pool that all KV cache blocks come from and go back to.
 *
 *     arena 0   [ free | layer 3 | layer 0 | free | layer 3 | ... ]     one GPU buffer each, for a
 *     arena 1   [ layer 1 | free | ... ]                                binding is at most 2 GiB
 *
 * Any layer of any sequence may own any block, so what one gives up another can use at once. A block's id counts within
 * its arena. The pool only keeps the books: it holds no GPU handle.
 */

interface Arena {
  /** Owning layer of each block, or `FREE`. */
  readonly owners: Int32Array;
  /** Ids of the free blocks, a stack: the first `freeCount` entries. */
  readonly freeIds: Uint32Array;
  freeCount: number;
}

const FREE = -1;

/** Hands out blocks, takes them back, and knows at any time who holds how many. */
export class BlockPool {
  /** Bytes of one block. */
  readonly blockBytes: number;
  /** Blocks of all arenas. */
  readonly totalBlocks: number;
  readonly #arenas: readonly Arena[];
  readonly #usedPerLayer: Uint32Array;
  #usedBlocks = 0;
  #peakBlocks = 0;

  /** @param options.arenas Blocks of each arena */
  constructor(options: { arenas: readonly number[]; blockBytes: number; layerCount: number }) {
    this.blockBytes = options.blockBytes;
    this.#arenas = options.arenas.map((blocks) => ({
      owners: new Int32Array(blocks).fill(FREE),
      // Descending, so that the lowest ids are handed out first.
      freeIds: Uint32Array.from({ length: blocks }, (_, i) => blocks - 1 - i),
      freeCount: blocks,
    }));
    this.totalBlocks = options.arenas.reduce((sum, blocks) => sum + blocks, 0);
    this.#usedPerLayer = new Uint32Array(options.layerCount);
  }

  get arenaCount(): number {
    return this.#arenas.length;
  }

  get usedBlocks(): number {
    return this.#usedBlocks;
  }

  get usedBytes(): number {
    return this.#usedBlocks * this.blockBytes;
  }

  /** Blocks in use by each layer, over all sequences. */
  get usedPerLayer(): Readonly<Uint32Array> {
    return this.#usedPerLayer;
  }

  /** The most blocks in use at once since the start or the last `resetPeak`. */
  get peakBlocks(): number {
    return this.#peakBlocks;
  }

  resetPeak(): void {
    this.#peakBlocks = this.#usedBlocks;
  }

  /** Blocks of an arena, used and free. */
  arenaBlocks(arena: number): number {
    return this.#arenas[arena].owners.length;
  }

  /** Blocks of the largest arena: no sequence can have more. */
  get largestArena(): number {
    return this.#arenas.reduce((largest, { owners }) => Math.max(largest, owners.length), 0);
  }

  /** Free blocks of an arena. */
  freeBlocks(arena: number): number {
    return this.#arenas[arena].freeCount;
  }

  canAllocate(arena: number, count: number): boolean {
    return count <= this.#arenas[arena].freeCount;
  }

  /**
   * Takes `count` blocks of an arena for a layer, and returns their ids.
   *
   * @throws {Error} If the arena has fewer free blocks: ask `canAllocate` first
   */
  allocate(arena: number, count: number, layer: number): Uint32Array {
    const { owners, freeIds, freeCount } = this.#arenas[arena];
    if (!this.canAllocate(arena, count)) {
      throw new Error(`Cannot allocate ${count} KV blocks for layer ${layer}: arena ${arena} has ${freeCount} free`);
    }
    const ids = freeIds.slice(freeCount - count, freeCount).reverse();
    for (const id of ids) {
      if (owners[id] !== FREE) throw new Error(`KV block ${id} of arena ${arena} is free and owned at once`);
      owners[id] = layer;
    }
    this.#arenas[arena].freeCount -= count;
    this.#usedPerLayer[layer] += count;
    this.#usedBlocks += count;
    this.#peakBlocks = Math.max(this.#peakBlocks, this.#usedBlocks);
    return ids;
  }

  /**
   * Takes blocks back.
   *
   * @throws {Error} If a block is not in use
   */
  release(arena: number, ids: ArrayLike<number>): void {
    const state = this.#arenas[arena];
    // Last first, so that blocks released together are handed out again in the same order.
    for (let i = ids.length - 1; i >= 0; i--) {
      const layer = state.owners[ids[i]];
      if (layer === undefined || layer === FREE) {
        throw new Error(`Cannot release KV block ${ids[i]} of arena ${arena}: it is not in use`);
      }
      state.owners[ids[i]] = FREE;
      state.freeIds[state.freeCount++] = ids[i];
      this.#usedPerLayer[layer]--;
      this.#usedBlocks--;
    }
  }
}
