/**
 * @file The pool that all KV cache blocks come from and go back to.
 *
 *     arena 0   [ free | layer 3 | layer 0 | free | layer 3 | ... ]     one GPU buffer each, for a
 *     arena 1   [ layer 1 | free | ... ]                                binding is at most 2 GiB
 *
 * Any layer of any sequence may own any block, so what one gives up another can use at once. A block's id counts within
 * its arena. The pool only keeps the books: it holds no GPU handle.
 *
 * Holders are counted, for sequences can share a block. Nobody may write to a block that is shared, or whose contents are kept
 * for later (see prefix_index.ts). A kept block without a holder is idle: it counts as free, and is given up when blocks run out.
 *
 *     free --allocate()--> held --release()--> free
 *                          held, kept --release()--> idle --retain()--> held, kept
 *                                                    idle --forget()--> free
 */

interface Arena {
  /** Owning layer of each block, or `FREE`. */
  readonly owners: Int32Array;
  /** How many hold each block. */
  readonly holders: Uint32Array;
  /** 1 where a block's contents are kept when nobody holds it. */
  readonly kept: Uint8Array;
  /** Ids of the free blocks, a stack: the first `freeCount` entries. */
  readonly freeIds: Uint32Array;
  freeCount: number;
  idleCount: number;
}

const FREE = -1;

/** Hands out blocks, takes them back, and knows at any time who holds how many. */
export class BlockPool {
  /** Bytes of one block. */
  readonly blockBytes: number;
  /** Blocks of all arenas. */
  readonly totalBlocks: number;
  /** Forgets at least so many idle blocks of an arena, which has them: whoever keeps blocks sets it. */
  giveUpIdle: (arena: number, count: number) => void = () => {};
  /** Told that the contents of a block are of no use any more: whoever has them elsewhere sets it. */
  onFree: (arena: number, id: number) => void = () => {};
  readonly #arenas: readonly Arena[];
  readonly #usedPerLayer: Uint32Array;
  #usedBlocks = 0;
  #peakBlocks = 0;

  /** @param options.arenas Blocks of each arena */
  constructor(options: { arenas: readonly number[]; blockBytes: number; layerCount: number }) {
    this.blockBytes = options.blockBytes;
    this.#arenas = options.arenas.map((blocks) => ({
      owners: new Int32Array(blocks).fill(FREE),
      holders: new Uint32Array(blocks),
      kept: new Uint8Array(blocks),
      // Descending, so that the lowest ids are handed out first.
      freeIds: Uint32Array.from({ length: blocks }, (_, i) => blocks - 1 - i),
      freeCount: blocks,
      idleCount: 0,
    }));
    this.totalBlocks = options.arenas.reduce((sum, blocks) => sum + blocks, 0);
    this.#usedPerLayer = new Uint32Array(options.layerCount);
  }

  get arenaCount(): number {
    return this.#arenas.length;
  }

  /** Blocks that somebody holds. */
  get usedBlocks(): number {
    return this.#usedBlocks;
  }

  get usedBytes(): number {
    return this.#usedBlocks * this.blockBytes;
  }

  /** Blocks in use by each layer, over all sequences; a shared one counts once. */
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

  /** Blocks of an arena that nobody holds, idle ones included. */
  freeBlocks(arena: number): number {
    const { freeCount, idleCount } = this.#arenas[arena];
    return freeCount + idleCount;
  }

  /** Those of them whose contents nobody keeps. */
  emptyBlocks(arena: number): number {
    return this.#arenas[arena].freeCount;
  }

  /** How many hold a block. */
  holders(arena: number, id: number): number {
    return this.#arenas[arena].holders[id];
  }

  canAllocate(arena: number, count: number): boolean {
    return count <= this.freeBlocks(arena);
  }

  /**
   * Takes `count` blocks of an arena for a layer, and returns their ids. Idle ones are given up for it where needed.
   *
   * @throws {Error} If the arena has fewer free blocks: ask `canAllocate` first
   */
  allocate(arena: number, count: number, layer: number): Uint32Array {
    const state = this.#arenas[arena];
    if (!this.canAllocate(arena, count)) {
      throw new Error(
        `Cannot allocate ${count} KV blocks for layer ${layer}: arena ${arena} has ${this.freeBlocks(arena)} free`,
      );
    }
    if (count > state.freeCount) this.giveUpIdle(arena, count - state.freeCount);
    const ids = this.#take(state, count, layer);
    for (const id of ids) this.#hold(state, id);
    return ids;
  }

  /** The same, of blocks that are not idle, for contents that are kept though nobody holds them. */
  allocateIdle(arena: number, count: number, layer: number): Uint32Array {
    const state = this.#arenas[arena];
    const ids = this.#take(state, count, layer);
    for (const id of ids) state.kept[id] = 1;
    state.idleCount += count;
    return ids;
  }

  /**
   * Holds blocks once more, idle ones or others.
   *
   * @throws {Error} If a block is free
   */
  retain(arena: number, ids: ArrayLike<number>): void {
    const state = this.#arenas[arena];
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      if (!(state.owners[id] >= 0)) throw new Error(`Cannot share KV block ${id} of arena ${arena}: it is free`);
      if (state.holders[id] === 0) state.idleCount--;
      this.#hold(state, id);
    }
  }

  /**
   * Takes blocks back. They are free or idle once nobody else holds them.
   *
   * @throws {Error} If nobody holds a block
   */
  release(arena: number, ids: ArrayLike<number>): void {
    const state = this.#arenas[arena];
    // Last first, so that blocks released together are handed out again in the same order.
    for (let i = ids.length - 1; i >= 0; i--) {
      const id = ids[i];
      if (!(state.holders[id] > 0)) {
        throw new Error(`Cannot release KV block ${id} of arena ${arena}: it is not in use`);
      }
      if (--state.holders[id] > 0) continue;
      this.#usedPerLayer[state.owners[id]]--;
      this.#usedBlocks--;
      if (state.kept[id] === 1) state.idleCount++;
      else this.#free(arena, id);
    }
  }

  /**
   * Keeps the contents of blocks that are in use, also when nobody holds them any more. They must not be written to again.
   *
   * @throws {Error} If a block is kept already, or nobody holds it
   */
  keep(arena: number, ids: ArrayLike<number>): void {
    const { kept, holders } = this.#arenas[arena];
    for (let i = 0; i < ids.length; i++) {
      if (kept[ids[i]] === 1 || !(holders[ids[i]] > 0)) {
        throw new Error(`Cannot keep KV block ${ids[i]} of arena ${arena}: it is kept already, or not in use`);
      }
      kept[ids[i]] = 1;
    }
  }

  /**
   * Keeps the contents of blocks no longer. Idle ones are free.
   *
   * @throws {Error} If a block is not kept
   */
  forget(arena: number, ids: ArrayLike<number>): void {
    const state = this.#arenas[arena];
    for (let i = ids.length - 1; i >= 0; i--) {
      const id = ids[i];
      if (state.kept[id] !== 1) throw new Error(`Cannot forget KV block ${id} of arena ${arena}: it is not kept`);
      state.kept[id] = 0;
      if (state.holders[id] > 0) continue;
      state.idleCount--;
      this.#free(arena, id);
    }
  }

  /** @throws {Error} If a block is shared, or its contents are kept: it must not be written to */
  checkWritable(arena: number, id: number): void {
    const { holders, kept } = this.#arenas[arena];
    if (holders[id] !== 1 || kept[id] === 1) {
      throw new Error(
        `KV block ${id} of arena ${arena} must not be written to: ${
          kept[id] === 1 ? "its contents are kept" : `${holders[id]} hold it`
        }`,
      );
    }
  }

  #take(state: Arena, count: number, layer: number): Uint32Array {
    const { owners, freeIds, freeCount } = state;
    if (count > freeCount) throw new Error(`Cannot take ${count} KV blocks: ${freeCount} are empty`);
    const ids = freeIds.slice(freeCount - count, freeCount).reverse();
    for (const id of ids) {
      if (owners[id] !== FREE) throw new Error(`KV block ${id} is free and owned at once`);
      owners[id] = layer;
    }
    state.freeCount -= count;
    return ids;
  }

  #hold({ holders, owners }: Arena, id: number): void {
    if (holders[id]++ > 0) return;
    this.#usedPerLayer[owners[id]]++;
    this.#usedBlocks++;
    this.#peakBlocks = Math.max(this.#peakBlocks, this.#usedBlocks);
  }

  #free(arena: number, id: number): void {
    const state = this.#arenas[arena];
    state.owners[id] = FREE;
    state.freeIds[state.freeCount++] = id;
    this.onFree(arena, id);
  }
}
