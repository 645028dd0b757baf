/**
 * @file Who may enter: a sequence gets the promise of as many blocks as it can ever need, or waits. Because the promise covers
 * the worst case, a sequence that was let in never has to be put out again.
 */
import type { BlockPool } from "../cache/block_pool.ts";
import type { PrefixIndex } from "../cache/prefix_index.ts";
import { SequenceCache } from "../cache/sequence_cache.ts";
import { mostUsefulRows } from "../engine/prompt_prefix.ts";
import { LayerRows } from "./cache/layer_rows.ts";
import type { Forward } from "./forward.ts";
import type { Sequence } from "./sequence.ts";

/** The one arena that there is. */
const ARENA = 0;

export class Admission {
  readonly pool: BlockPool;
  readonly #residents = new Set<Sequence>();

  constructor(readonly forward: Forward, readonly prefixIndex: PrefixIndex, readonly places: number) {
    this.pool = prefixIndex.pool;
  }

  /** Sequences that have been let in and not left. */
  get residentCount(): number {
    return this.#residents.size;
  }

  /**
   * Lets a sequence in if a place is free and as many blocks are unpromised as it can need. What is found of its prompt is held until
   * that has been read, as far as nobody was promised the blocks.
   */
  tryAdmit(sequence: Sequence): boolean {
    const spare = this.#unpromised() - sequence.forecast.blocks;
    if (this.#residents.size === this.places || spare < 0) return false;
    const [found] = this.prefixIndex.find(sequence.request.prompt, mostUsefulRows(sequence));
    const { config: { layerCount, kvHeadCount, headSize }, runtime } = this.forward;
    sequence.reside({
      cache: new SequenceCache(this.pool, ARENA, layerCount),
      prefix: this.prefixIndex.acquire(found.withIdleBlocks(spare)),
      layers: Array.from({ length: layerCount }, () => new LayerRows(runtime, kvHeadCount, headSize)),
    });
    this.#residents.add(sequence);
    return true;
  }

  /** Takes back a sequence's place, blocks and rows. Idempotent. */
  release(sequence: Sequence): void {
    if (!this.#residents.delete(sequence)) return;
    sequence.cache.release();
    sequence.residence.prefix?.release();
    for (const layer of sequence.layers) layer.free();
    sequence.reside(null);
    sequence.memory = null;
  }

  /** Free blocks that nobody has been promised. */
  #unpromised(): number {
    let blocks = this.pool.freeBlocks(ARENA);
    for (const { forecast, cache } of this.#residents) blocks -= Math.max(0, forecast.blocks - cache.blocks);
    return blocks;
  }
}
