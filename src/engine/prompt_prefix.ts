/**
 * @file What the prefix cache does for a prompt that is being read: in each layer, the rows that are cached come from their blocks, the
 * others pass the layer, and those that the cache does not have are stored.
 *
 *     keys, values of a layer   [ cached rows | rows that pass the layer ................ ]
 *                                 restore()     attention sees all of them, scoring too
 *                                             [ rows to keep: store() ........ | the rest of a block ]
 *
 * Positions are the true ones, and scores and kept rows what they are without a cache. Queries, however, are not cached: rows whose
 * queries a policy asks pass the layers again. Where it asks those of a chunk to score the same chunk, the scores are cached instead
 * (scores/rehearsal.ts), and only the last rows pass:
 *
 *     scores of a layer         [ known: restored | chunks scored anew ........ ]
 *                                                 [ whole ones: stored ... | the rest ]
 */
import { BLOCK_ROWS } from "../cache/block.ts";
import type { PrefixLease } from "../cache/cached_prefix.ts";
import type { PrefixDraft, PrefixIndex } from "../cache/prefix_index.ts";
import { PromptScores } from "../cache/prompt_scores.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Model } from "../model/model.ts";
import type { KnownScores } from "../compression/scoring_work.ts";
import { needsAllQueries } from "../policy/steps/step_rules.ts";
import { MAX_WINDOW } from "../scores/limits.ts";
import { REHEARSAL_CHUNK } from "../scores/rehearsal.ts";
import type { Sequence } from "./sequence.ts";

/** Rows at the end of a prompt whose queries are needed to score the others, or for statistics. */
export function queryWindow({ policy, window }: Pick<Sequence, "policy" | "window">): number {
  if (policy === null) return 0;
  const { needs, attentionStatistics } = policy;
  return needs.windowQueries || attentionStatistics ? Math.min(window, MAX_WINDOW) : 0;
}

type PromptToRead = Pick<Sequence, "policy" | "window" | "request">;

/**
 * The most rows at the beginning of a prompt that need not pass the layers where they are cached.
 *
 * @param knownScores rows whose scores by their chunk are cached
 */
function mostCachedRows(sequence: PromptToRead, knownScores: number): number {
  const { policy, request: { prompt, embed } } = sequence;
  // Rows that are not read have no hidden states.
  if (embed === "mean" || embed === "first") return 0;
  if (policy !== null && needsAllQueries(policy.needs)) return 0;
  // The first token is drawn from what the last row comes to.
  const rows = prompt.length - Math.max(1, queryWindow(sequence));
  // The last rows are scored by as many queries as make up a chunk.
  return policy?.needs.chunkScores ? Math.max(0, Math.min(knownScores, prompt.length - REHEARSAL_CHUNK)) : rows;
}

/** The most rows at the beginning of a prompt that are of use where they are cached. */
export function mostUsefulRows(sequence: PromptToRead): number {
  const { policy, request: { prompt } } = sequence;
  const most = mostCachedRows(sequence, prompt.length);
  // Scores are of use for rows that pass the layers again, too.
  return most > 0 && policy?.needs.chunkScores ? prompt.length : most;
}

/** A sequence as far as its prompt's beginning goes, whatever device reads it. */
interface PrefixedSequence extends Pick<Sequence, "policy" | "window" | "request" | "cachedRows"> {
  readonly residence: { prefix: PrefixLease | null };
}

/**
 * Takes over what was found of the prompt that sequences have in common: the longest of it, as far as all of them need not read it.
 *
 * @returns `rows` that come from the cache, and what is known of scores by chunks, where one of them asks
 */
export function takeFound(
  index: PrefixIndex,
  group: readonly PrefixedSequence[],
): { lease: PrefixLease | null; rows: number; scores: PromptScores | null } {
  let lease: PrefixLease | null = null;
  for (const { residence } of group) {
    const { prefix } = residence;
    residence.prefix = null;
    if (prefix === null) continue;
    if (lease !== null && prefix.rows <= lease.rows) prefix.release();
    else {
      lease?.release();
      lease = prefix;
    }
  }
  const knownScores = lease === null ? 0 : index.scoresOf(lease.prefix).length * index.groupRows;
  const most = Math.min(lease?.rows ?? 0, ...group.map((sequence) => mostCachedRows(sequence, knownScores)));
  const rows = Math.floor(most / BLOCK_ROWS) * BLOCK_ROWS;
  for (const sequence of group) sequence.cachedRows = rows;
  const areScored = lease !== null && index.isOn && group.some(({ policy }) => policy?.needs.chunkScores);
  return { lease, rows, scores: areScored ? new PromptScores(index, lease!, group[0].request.prompt) : null };
}

export class PromptPrefix {
  /** Rows that come from the cache. */
  readonly rows: number;
  readonly #scores: PromptScores | null;
  readonly #lease: PrefixLease | null;
  readonly #draft: PrefixDraft | null;

  /**
   * @param group sequences that have the same prompt and salt; what was found of it for each is taken over
   * @param start row of the pack where it begins
   */
  constructor(readonly model: Model, readonly group: readonly Sequence[], readonly start: number) {
    const { lease, rows, scores } = takeFound(model.prefixIndex, group);
    this.#lease = lease;
    this.rows = rows;
    this.#scores = scores;
    this.#draft = group.some(({ keepsRows }) => keepsRows) ? null : this.#makeDraft();
    this.#writeTables();
  }

  /** Records that the scratch gets the cached rows of a layer, before any other row passes it. */
  restore(recorder: Recorder, layer: number): void {
    const { rows, start } = this;
    if (rows === 0) return;
    this.model.prefixRows!.restore(recorder, { arena: this.#lease!.arena, layer, start, first: 0, rows });
  }

  /** The scores of a layer by chunks, as far as they are cached or to be. */
  scoresOf(layer: number): KnownScores | undefined {
    const [scores, { prefixRows }] = [this.#scores, this.model];
    if (scores === null || prefixRows === null) return undefined;
    const { slots, known, lease: { arena } } = scores;
    const { groupRows } = this.model.prefixIndex;
    return {
      rows: scores.knownRows,
      restore(recorder, target, end) {
        slots.slice(0, known).forEach((slot, group) => {
          const row = group * groupRows;
          const count = Math.min(groupRows, end - row);
          if (count > 0) prefixRows.restoreScores(recorder, { arena, layer, slot, row, count }, target);
        });
      },
      store(recorder, source, rows) {
        for (const { slot, row } of scores.unknown(rows)) {
          prefixRows.storeScores(recorder, { arena, layer, slot, row, count: groupRows }, source);
        }
        scores.markWritten(layer, rows);
      },
    };
  }

  /** Records that the rows of a layer are stored which are to be kept in addition, once all have passed it. */
  store(recorder: Recorder, layer: number): void {
    const draft = this.#draft;
    if (draft === null || draft.isAbandoned) return;
    const { arena, firstRow: first, rows } = draft;
    this.model.prefixRows!.store(recorder, { arena, layer, start: this.start, first, rows });
  }

  /** All layers have been recorded: from now on others can find the prompt. */
  commit(): void {
    this.#draft?.commit();
    for (const sequence of this.group) {
      const { request: { prompt, cacheSalt, embed } } = sequence;
      // What is only embedded is not asked about again: others' prompts are kept for its place.
      if (sequence.isFinished || !sequence.keepsRows || embed !== undefined) continue;
      const { cache } = sequence.residence;
      this.model.prefixIndex.add(cache.arena, prompt, (layer) => cache.table(layer), cacheSalt);
    }
  }

  /** Lets go of the cached blocks, and of what has not been committed. Idempotent. */
  release(): void {
    this.#scores?.end();
    this.#lease?.release();
    this.#draft?.abandon();
  }

  #makeDraft(): PrefixDraft | null {
    const [{ request: { prompt, cacheSalt } }] = this.group;
    return this.#lease === null ? null : this.model.prefixIndex.draft(this.#lease.arena, prompt, cacheSalt);
  }

  #writeTables(): void {
    const { start, model: { prefixRows, config: { layerCount } } } = this;
    if (prefixRows === null) return;
    for (let layer = 0; layer < layerCount; layer++) {
      if (this.#lease !== null) prefixRows.writeTable({ layer, start, first: 0 }, this.#lease.table(layer));
      const draft = this.#draft;
      if (draft !== null) prefixRows.writeTable({ layer, start, first: draft.firstRow }, draft.table(layer));
    }
  }
}
