/** @file The beginning of a prompt as the prefix cache has it: its blocks, and who holds them; see prefix_index.ts. */
import { BLOCK_ROWS } from "./block.ts";
import type { BlockPool } from "./block_pool.ts";

/** What others hang on. */
export interface Node {
  readonly arena: number;
  /** By a hash of their tokens. Of two that have the same hash, only one is kept. */
  readonly children: Map<number, Chunk>;
}

export interface Root extends Node {
  readonly salt: string;
}

/** `BLOCK_ROWS` tokens of a prompt behind those of its parent. */
export interface Chunk extends Node {
  readonly parent: Root | Chunk;
  readonly tokens: Uint32Array;
  readonly hash: number;
  /** Its block of every layer. */
  readonly blocks: Uint32Array;
  /** Where the scores of the group of rows lie that ends with it; `null` where there are none. */
  scoreSlot: number | null;
}

/** The beginning of some tokens, as far as it is kept in an arena with a salt. */
export class CachedPrefix {
  constructor(
    readonly pool: BlockPool,
    readonly arena: number,
    readonly salt: string,
    readonly chunks: readonly Chunk[],
  ) {}

  get rows(): number {
    return this.chunks.length * BLOCK_ROWS;
  }

  /** Blocks of it that somebody holds. */
  get heldBlocks(): number {
    return this.chunks.reduce((sum, chunk) => sum + (isHeld(this.pool, chunk) ? chunk.blocks.length : 0), 0);
  }

  /** As much of its beginning as has no more than so many idle blocks. */
  withIdleBlocks(most: number): CachedPrefix {
    let idle = 0;
    const end = this.chunks.findIndex((chunk) => {
      if (!isHeld(this.pool, chunk)) idle += chunk.blocks.length;
      return idle > most;
    });
    return end < 0 ? this : new CachedPrefix(this.pool, this.arena, this.salt, this.chunks.slice(0, end));
  }
}

/** A cached prefix that is held: its blocks stay as they are until it is released. */
export class PrefixLease {
  #isReleased = false;

  constructor(readonly prefix: CachedPrefix) {
    const { pool, arena, chunks } = prefix;
    for (const { blocks } of chunks) pool.retain(arena, blocks);
  }

  get arena(): number {
    return this.prefix.arena;
  }

  get rows(): number {
    return this.prefix.rows;
  }

  /** Ids of a layer's blocks within the arena. */
  table(layer: number): Uint32Array<ArrayBuffer> {
    return Uint32Array.from(this.prefix.chunks, ({ blocks }) => blocks[layer]);
  }

  /** Lets go of the blocks. Idempotent. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const { pool, arena, chunks } = this.prefix;
    for (const { blocks } of chunks) pool.release(arena, blocks);
  }
}

/** Whether somebody holds the blocks of a chunk. */
export function isHeld(pool: BlockPool, { arena, blocks }: Chunk): boolean {
  // Whoever holds a chunk holds its blocks of all layers.
  return pool.holders(arena, blocks[0]) > 0;
}
