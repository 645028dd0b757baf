/**
 * @file The prefix cache on the CPU. Which prefixes are kept, the index knows as it does for a GPU (cache/prefix_index.ts); the rows
 * themselves lie outside of onnxruntime's memory, which is short, a piece for every block:
 *
 *     [key = 0 | value = 1][kvHead][BLOCK_ROWS][headSize]
 *
 * Sequences have all rows of a head side by side, so no block is shared: what is found is copied, and what is kept is a copy too. Scores
 * that are kept have a piece for every slot and layer: `[kvHead][groupRows]`.
 */
import { BLOCK_ROWS } from "../../cache/block.ts";
import type { PrefixDraft, PrefixIndex } from "../../cache/prefix_index.ts";
import type { SourceRows } from "./layer_rows.ts";

/** The one arena that there is. */
const ARENA = 0;

export class PrefixCache {
  readonly #contents = new Map<number, Float32Array>();
  /** By slot, then by layer. */
  readonly #scores: Float32Array[][] = [];

  constructor(readonly index: PrefixIndex, readonly kvHeadCount: number, readonly headSize: number) {
    index.pool.onFree = (_, id) => this.#contents.delete(id);
  }

  /**
   * Room for those rows of a prompt that are not kept yet; `null` if there is none, or nothing to keep.
   *
   * @param tokens all of the prompt
   */
  draft(tokens: Uint32Array): PrefixDraft | null {
    return this.index.draft(ARENA, tokens);
  }

  /** Copies the rows of a layer that a draft has room for. */
  store(draft: PrefixDraft, layer: number, source: SourceRows): void {
    if (draft.isAbandoned) return;
    const size = BLOCK_ROWS * this.headSize;
    draft.table(layer).forEach((id, i) => {
      const contents = new Float32Array(2 * this.kvHeadCount * size);
      const first = draft.firstRow * this.headSize + i * size;
      for (let head = 0; head < this.kvHeadCount; head++) {
        contents.set(source.keys(head).subarray(first, first + size), head * size);
        contents.set(source.values(head).subarray(first, first + size), (this.kvHeadCount + head) * size);
      }
      this.#contents.set(id, contents);
    });
  }

  /** Copies the rows of blocks to the beginnings of a layer's heads. */
  restore(ids: Uint32Array, target: SourceRows): void {
    const size = BLOCK_ROWS * this.headSize;
    ids.forEach((id, i) => {
      const contents = this.#contents.get(id)!;
      for (let head = 0; head < this.kvHeadCount; head++) {
        target.keys(head).set(contents.subarray(head * size, (head + 1) * size), i * size);
        const value = (this.kvHeadCount + head) * size;
        target.values(head).set(contents.subarray(value, value + size), i * size);
      }
    });
  }

  /** Keeps scores of a group of a layer's rows, from row `row` on, in a slot. @param scores of all rows, by KV head */
  storeScores(slot: number, layer: number, row: number, scores: readonly Float32Array[]): void {
    const { groupRows } = this.index;
    const kept = (this.#scores[slot] ??= [])[layer] ??= new Float32Array(this.kvHeadCount * groupRows);
    scores.forEach((own, head) => kept.set(own.subarray(row, row + groupRows), head * groupRows));
  }

  /** Scores of a KV head that are kept in a slot, `[groupRows]`. */
  scoresIn(slot: number, layer: number, head: number): Float32Array {
    const { groupRows } = this.index;
    return this.#scores[slot][layer].subarray(head * groupRows, (head + 1) * groupRows);
  }
}
