/**
 * @file Who may enter: a sequence gets a slot and the promise of as many blocks as it can ever need, or waits.
 *
 * Because the promise covers the worst case, a sequence that was let in never has to be put out again. Blocks that only the prefix
 * cache keeps are free; those that a sequence finds there of its own prompt are held from now on. Where it shares them, they are part
 * of its promise.
 */
import type { CachedPrefix } from "../cache/cached_prefix.ts";
import type { PrefixIndex } from "../cache/prefix_index.ts";
import { SequenceCache } from "../cache/sequence_cache.ts";
import type { BlockPool } from "../cache/block_pool.ts";
import { mostUsefulRows } from "./prompt_prefix.ts";
import type { Sequence } from "./sequence.ts";

export class Admission {
  readonly pool: BlockPool;
  readonly #freeSlots: number[];
  readonly #residents = new Set<Sequence>();

  constructor(
    readonly prefixIndex: PrefixIndex,
    readonly layerCount: number,
    slots: number,
  ) {
    this.pool = prefixIndex.pool;
    this.#freeSlots = Array.from({ length: slots }, (_, i) => slots - 1 - i);
  }

  /** Sequences that have been let in and not left. */
  get residentCount(): number {
    return this.#residents.size;
  }

  /**
   * Lets a sequence in if a slot is free and an arena has as many unpromised blocks as it can need: of those that have, the one that
   * knows most of its prompt.
   */
  tryAdmit(sequence: Sequence): boolean {
    const slot = this.#freeSlots.at(-1);
    if (slot === undefined) return false;
    for (const found of this.#findPrefixes(sequence)) {
      const usable = this.#usable(found, sequence);
      if (usable === null) continue;
      this.#freeSlots.pop();
      const prefix = this.prefixIndex.acquire(usable);
      const cache = new SequenceCache(this.pool, prefix.arena, this.layerCount);
      if (sequence.keepsRows) cache.share(prefix.rows, (layer) => prefix.table(layer));
      sequence.reside({ slot, cache, prefix, buffers: null, positions: null });
      this.#residents.add(sequence);
      return true;
    }
    return false;
  }

  /** Takes back a sequence's slot, blocks and buffers. Idempotent. */
  release(sequence: Sequence): void {
    if (!this.#residents.delete(sequence)) return;
    this.#keepPrefix(sequence);
    const { slot, cache, prefix, buffers, positions } = sequence.residence;
    cache.release();
    prefix?.release();
    buffers?.destroy();
    positions?.destroy();
    this.#freeSlots.push(slot);
    sequence.reside(null);
  }

  /** Lets the rows of a sequence that has ended be found, where it has all of them: a conversation may go on. */
  #keepPrefix(sequence: Sequence): void {
    const { keepsRows, request: { prompt, cacheSalt }, tokens } = sequence;
    if (!this.prefixIndex.isOn || !keepsRows || tokens.recorded === 0) return;
    const { cache } = sequence.residence;
    const all = Uint32Array.from([...prompt, ...tokens.fed]);
    this.prefixIndex.add(cache.arena, all, (layer) => cache.table(layer), cacheSalt);
  }

  /** What arenas know of a sequence's prompt, as far as it can use it: the longest first. */
  #findPrefixes(sequence: Sequence): CachedPrefix[] {
    const { prompt, cacheSalt } = sequence.request;
    return this.prefixIndex.find(prompt, mostUsefulRows(sequence), cacheSalt);
  }

  /** What a sequence can use of what was found, if its arena has room for it; else `null`. */
  #usable(found: CachedPrefix, { forecast, keepsRows }: Sequence): CachedPrefix | null {
    const spare = this.#unpromised(found.arena) - forecast.blocks;
    // Those that others hold are not taken out of the free ones.
    if (keepsRows) return spare + found.heldBlocks >= 0 ? found : null;
    return spare >= 0 ? found.withIdleBlocks(spare) : null;
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
