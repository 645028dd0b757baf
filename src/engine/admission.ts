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
      if (this.#unpromised(arena) < sequence.projectedBlocks) continue;
      this.#freeSlots.pop();
      const cache = new SequenceCache(this.pool, arena, this.layerCount);
      sequence.residence = { slot, arena, cache, reservedBlocks: sequence.projectedBlocks };
      this.#residents.add(sequence);
      return true;
    }
    return false;
  }

  /** Takes back a sequence's slot and blocks. */
  release(sequence: Sequence): void {
    if (sequence.residence === null) return;
    sequence.cache.release();
    this.#freeSlots.push(sequence.slot);
    this.#residents.delete(sequence);
    sequence.residence = null;
  }

  /** Free blocks of an arena that nobody has been promised. */
  #unpromised(arena: number): number {
    let blocks = this.pool.freeBlocks(arena);
    for (const { residence } of this.#residents) {
      if (residence!.arena === arena) blocks -= Math.max(0, residence!.reservedBlocks - residence!.cache.blocks);
    }
    return blocks;
  }
}
