/** @file What the prefix cache does for a prompt that is being read on the CPU, as engine/prompt_prefix.ts does on a GPU. */
import { BLOCK_ROWS } from "../cache/block.ts";
import type { PrefixLease } from "../cache/cached_prefix.ts";
import type { PrefixDraft } from "../cache/prefix_index.ts";
import type { PromptScores } from "../cache/prompt_scores.ts";
import { takeFound } from "../engine/prompt_prefix.ts";
import type { SourceRows } from "./cache/layer_rows.ts";
import type { PrefixCache } from "./cache/prefix_cache.ts";
import type { Sequence } from "./sequence.ts";
import type { KnownScores } from "./steps/scored_rows.ts";

export class PromptPrefix {
  /** Rows that come from the cache. */
  readonly rows: number;
  readonly #scores: PromptScores | null;
  readonly #lease: PrefixLease | null;
  readonly #draft: PrefixDraft | null;

  /** @param group sequences that have the same prompt and salt */
  constructor(readonly cache: PrefixCache, group: readonly Sequence[]) {
    const { lease, rows, scores } = takeFound(cache.index, group);
    this.#lease = lease;
    this.rows = rows;
    this.#scores = scores;
    // What is only embedded is not asked about again: others' prompts are kept for its place.
    const isKept = group.some(({ request }) => request.embed === undefined);
    const [{ request: { prompt, cacheSalt } }] = group;
    this.#draft = isKept ? cache.draft(prompt, cacheSalt) : null;
  }

  /** Copies the cached rows of a layer to the beginning of the prompt's. */
  restore(layer: number, rows: SourceRows): void {
    if (this.rows > 0) this.cache.restore(this.#lease!.table(layer).subarray(0, this.rows / BLOCK_ROWS), rows);
  }

  /** Copies the rows of a layer that are to be kept, once all have passed it. */
  store(layer: number, rows: SourceRows): void {
    if (this.#draft !== null) this.cache.store(this.#draft, layer, rows);
  }

  /** The scores of a layer by chunks, as far as they are cached or to be. */
  scoresOf(layer: number): KnownScores | null {
    const [scores, { cache }] = [this.#scores, this];
    if (scores === null) return null;
    return {
      rows: scores.knownRows,
      restore(head, target) {
        scores.slots.slice(0, scores.known).forEach((slot, group) => {
          const row = group * cache.index.groupRows;
          if (row < target.length) target.set(cache.scoresIn(slot, layer, head).subarray(0, target.length - row), row);
        });
      },
      store(own) {
        const [{ length: rows }] = own;
        for (const { slot, row } of scores.unknown(rows)) cache.storeScores(slot, layer, row, own);
        scores.markWritten(layer, rows);
      },
    };
  }

  /** Lets others find the prompt, if it has been read to its end, and lets go of what was found of it. Idempotent. */
  end(isRead: boolean): void {
    if (isRead) this.#draft?.commit();
    else this.#draft?.abandon();
    this.#scores?.end();
    this.#lease?.release();
  }
}
