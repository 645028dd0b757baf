/**
 * @file Who may enter: a sequence gets a slot and the promise of as many blocks as it can ever need, or waits.
 *
 * Because the promise covers the worst case, a sequence that was let in never has to be put out again.
 */
import { SequenceCache } from "../cache/sequence_cache.ts";
import type { BlockPool } from "../cache/block_pool.ts";
import type { Sequence } from "./sequence.ts";

export class Admission {
  readonly #freeSlots: number[];
  readonly #residents = new Set<Sequence>();

  constructor(readonly pool: BlockPool, readonly layerCount: number, slots: number) {
    this.#freeSlots = Array.from({ length: slots }, (_, i) => slots - 1 - i);
  }

  /** Sequences that have been let in and not left. */
  get residentCount(): number {
    return this.#residents.size;
  }

  /** Lets a sequence in if a slot is free and an arena has as many unpromised blocks as it can need. */
  tryAdmit(sequence: Sequence): boolean {
    const slot = this.#freeSlots.at(-1);
    if (slot === undefined) return false;
    for (let arena = 0; arena < this.pool.arenaCount; arena++) {
      if (this.#unpromised(arena) < sequence.forecast.blocks) continue;
      this.#freeSlots.pop();
      sequence.reside({ slot, cache: new SequenceCache(this.pool, arena, this.layerCount), buffers: null });
      this.#residents.add(sequence);
      return true;
    }
    return false;
  }

  /** Takes back a sequence's slot, blocks and buffers. Idempotent. */
  release(sequence: Sequence): void {
    if (!this.#residents.delete(sequence)) return;
    const { slot, cache, buffers } = sequence.residence;
    cache.release();
    buffers?.destroy();
    this.#freeSlots.push(slot);
    sequence.reside(null);
  }

  /** Free blocks of an arena that nobody has been promised. */
  #unpromised(arena: number): number {
    let blocks = this.pool.freeBlocks(arena);
    for (const { forecast, residence: { cache } } of this.#residents) {
      if (cache.arena === arena) blocks -= Math.max(0, forecast.blocks - cache.blocks);
    }
    return blocks;
  }
}
