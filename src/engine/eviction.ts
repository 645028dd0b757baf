/**
 * @file When a sequence evicts while tokens are generated, so that a long answer needs no more memory than a short one.
 *
 * After every `interval` generated rows, rows of each layer are scored as those of a prompt are at its end: by the queries of the last
 * generated rows. The best of each layer go back into the layer's own blocks; the policy then shares the budget among the layers, and
 * their tails are dropped. Which rows these are, protection.ts says. Where the prompt is left alone, the generated ones, as if they were a
 * text of their own:
 *
 *     prompt             interval                                  interval
 *     [ranked | window]  generate  [.. | .. | generated]  evict  [.. | .. | window, ranked]  generate [ ...
 *
 * and otherwise all that there are:
 *
 *     prompt                      interval                     interval
 *     [ranked | window] generate [ranked | window + interval] evict [ranked | window] generate [ ...
 *
 * Meanwhile the sequence stands still: its next step is recorded when the scores have been read back. What it evicts hangs on its own tokens
 * alone, never on what else runs.
 */
import { rankedBudget } from "../cache/budgets.ts";
import type { SequenceCache } from "../cache/sequence_cache.ts";
import type { SequencePolicy } from "../policy/policy.ts";
import { protectedRowsOf, type Score, scoreAgain } from "../policy/steps.ts";
import { protect } from "../policy/steps/protect.ts";
import { MAX_WINDOW } from "../scores/limits.ts";
import type { Protection } from "./protection.ts";
import type { TokenProgress } from "./token_progress.ts";

/** Rows that an eviction is about, in the order in which they are scored: ranked ones, the last window, those since then. */
export interface EvictedRows {
  readonly ranked: number;
  readonly recent: number;
}

/** How a sequence evicts while it generates. */
export class DecodeEviction {
  /** Of rows that were ranked before; without the protection of those that are found by their places. */
  readonly #score: Score;
  readonly #protects: boolean;
  /** Queries that score the rows: those of the last rows before an eviction. */
  readonly queries: number;

  /**
   * @param interval generated rows between two evictions
   * @param promptRows rows of the prompt among the recent ones of each layer
   */
  constructor(
    readonly policy: SequencePolicy,
    readonly interval: number,
    readonly protection: Protection,
    readonly promptRows: number,
  ) {
    // Of a policy that could not be started another score has taken the place, which protects nothing.
    this.#protects = protectedRowsOf(policy.score, Number.MAX_SAFE_INTEGER) > 0;
    this.#score = scoreAgain(policy.score);
    this.queries = scoringQueries(policy, interval);
  }

  /** The policy's score, of rows that were ranked before. @param isFirst whether nothing has been evicted yet */
  score(isFirst: boolean, { ranked }: EvictedRows): Score {
    if (!this.#protects) return this.#score;
    const { protection, promptRows } = this;
    const ranges = isFirst
      ? protection.firstRanges({ ranked, recent: promptRows })
      : [{ start: 0, end: 2 * protection.boundary }];
    return [...this.#score, protect(ranges)];
  }

  /** The rows of a layer that are to be scored. */
  rowsOf({ rankedRows, recentRows, rankedGenerated }: SequenceCache, layer: number): EvictedRows {
    if (!this.protection.leavesPrompt) return { ranked: rankedRows[layer], recent: recentRows[layer] };
    const ranked = rankedGenerated[layer];
    return { ranked, recent: recentRows[layer] - this.promptRows - ranked };
  }

  /**
   * Where generated rows lie among the recent ones of a layer, in the order of {@link EvictedRows}: the first slot of each part and the
   * one behind it. See cache/sequence_cache.ts.
   */
  generatedSlots(
    { recentRows, rankedGenerated }: SequenceCache,
    layer: number,
    isFirst: boolean,
  ): (readonly [number, number])[] {
    const { promptRows } = this;
    const window = promptRows + (isFirst ? 0 : this.policy.window);
    const ranked = window + rankedGenerated[layer];
    return [[window, ranked], [promptRows, window], [ranked, recentRows[layer]]];
  }

  /** Steps that may be recorded before rows are to be evicted. */
  stepsLeft({ generatedRows }: TokenProgress): number {
    return this.interval - generatedRows % this.interval;
  }

  /**
   * Whether an interval is over, with more tokens to come, and some layer holds more than its share of the budget.
   *
   * @param budget mean rows per layer, window included
   */
  isDue(
    { remaining, generatedRows }: Pick<TokenProgress, "remaining" | "generatedRows">,
    cache: SequenceCache,
    budget: number,
  ): boolean {
    if (remaining <= 0 || generatedRows % this.interval !== 0) return false;
    const { window } = this.policy;
    const kept = rankedBudget(budget, window) + window;
    return cache.recentRows.some((_, layer) => {
      const { ranked, recent } = this.rowsOf(cache, layer);
      return ranked + recent > kept;
    });
  }
}

/** A window's queries, or all of them where all are summed; but no more than scorers take, or than an interval has. */
function scoringQueries({ window, needs, attentionStatistics }: SequencePolicy, interval: number): number {
  const most = Math.min(interval, MAX_WINDOW);
  if (needs.attentionSums) return most;
  return needs.windowQueries || attentionStatistics ? Math.min(window, most) : 0;
}
