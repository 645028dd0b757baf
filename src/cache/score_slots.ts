/** @file Which slots for scores are free. What is in a slot, and whose it is, others say: prefix_index.ts, prompt_scores.ts. */
import { BLOCK_ROWS } from "./block.ts";
import type { BlockPool } from "./block_pool.ts";

export class ScoreSlots {
  /** By arena. */
  readonly #free: readonly number[][];

  /** @param groupRows rows whose scores share a slot */
  constructor(readonly pool: BlockPool, readonly layerCount: number, readonly groupRows: number) {
    this.#free = Array.from(
      { length: pool.arenaCount },
      (_, arena) => Array.from({ length: this.count(arena) }, (_, slot) => slot).reverse(),
    );
  }

  /** Slots that an arena has: as many as there are groups in the longest prompts that it holds. */
  count(arena: number): number {
    return Math.floor(this.pool.arenaBlocks(arena) / this.layerCount * BLOCK_ROWS / this.groupRows);
  }

  /** Slots for as many groups, or for as many as there are. Whoever takes them gives them back, or has them kept. */
  reserve(arena: number, groups: number): number[] {
    const free = this.#free[arena];
    return free.splice(Math.max(0, free.length - groups));
  }

  /** Gives slots back. */
  free(arena: number, slots: readonly number[]): void {
    this.#free[arena].push(...slots);
  }
}
