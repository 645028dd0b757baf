/**
 * @file The slots of the prefix cache that a prompt being read has for its scores: those whose scores are known, and those that are
 * being written. Which rows make a group, and what is in a slot, others say.
 */
import type { PrefixLease } from "./cached_prefix.ts";
import type { PrefixIndex } from "./prefix_index.ts";

export class PromptScores {
  /** A slot for each group of rows, from the first on: first those whose scores are known. */
  readonly slots: readonly number[];
  /** Groups whose scores are known. */
  readonly known: number;
  /** By layer, groups whose scores are known or have been written. */
  readonly #written: number[];
  #isOpen = true;

  /**
   * Takes slots for all whole groups of a prompt, as far as there are any.
   *
   * @param lease what was found of the prompt: it must be held as long as this is open
   */
  constructor(readonly index: PrefixIndex, readonly lease: PrefixLease, readonly tokens: Uint32Array) {
    const known = index.scoresOf(lease.prefix);
    const groups = Math.floor(tokens.length / index.groupRows);
    this.known = known.length;
    this.slots = [...known, ...index.scoreSlots.reserve(lease.arena, groups - known.length)];
    this.#written = Array(index.layerCount).fill(known.length);
  }

  /** Rows whose scores are known. */
  get knownRows(): number {
    return this.known * this.index.groupRows;
  }

  /** Of the groups of so many rows, those with slots to be written to. @param rows that have scores */
  unknown(rows: number): { readonly slot: number; readonly row: number }[] {
    const { known, index: { groupRows } } = this;
    return this.slots.slice(known, Math.floor(rows / groupRows)).map((slot, i) => ({
      slot,
      row: (known + i) * groupRows,
    }));
  }

  /** The slots of groups of so many rows have been written in a layer. */
  markWritten(layer: number, rows: number): void {
    const groups = Math.min(this.slots.length, Math.floor(rows / this.index.groupRows));
    this.#written[layer] = Math.max(this.#written[layer], groups);
  }

  /** Lets what has been written in all layers be found, as far as the rows are, and gives other slots back. Idempotent. */
  end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const { index, lease: { arena, prefix }, tokens, known, slots } = this;
    const written = Math.min(...this.#written);
    index.keepScores(prefix, tokens, known, slots.slice(known, written));
    index.scoreSlots.free(arena, slots.slice(Math.max(known, written)));
  }
}
