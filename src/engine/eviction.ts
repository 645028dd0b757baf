/**
 * @file When a sequence evicts while tokens are generated, so that a long answer needs no more memory than a short one.
 *
 *     prompt                      interval                     interval
 *     [ranked | window] generate [ranked | window + interval] evict [ranked | window] generate [ ...
 *
 * After every `interval` generated rows, all rows of each layer are scored as those of a prompt are at its end: by the queries of
 * the last generated rows. The best of each layer go back into the layer's own blocks; the policy then shares the budget among
 * the layers, and their tails are dropped. Meanwhile the sequence stands still: its next step is recorded when the scores have
 * been read back. What it evicts hangs on its own tokens alone, never on what else runs.
 */
import { rankedBudget } from "../cache/budgets.ts";
import type { SequenceCache } from "../cache/sequence_cache.ts";
import type { SequencePolicy } from "../policy/policy.ts";
import { type Score, scoreAgain } from "../policy/steps.ts";
import { MAX_WINDOW } from "../scores/limits.ts";
import type { TokenProgress } from "./token_progress.ts";

/** How a sequence evicts while it generates. */
export class DecodeEviction {
  /** The policy's score, of rows that were ranked before. */
  readonly score: Score;
  /** Queries that score the rows: those of the last rows before an eviction. */
  readonly queries: number;

  /** @param interval generated rows between two evictions */
  constructor(readonly policy: SequencePolicy, readonly interval: number) {
    this.score = scoreAgain(policy.score);
    this.queries = scoringQueries(policy, interval);
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
    { rankedRows, recentRows }: SequenceCache,
    budget: number,
  ): boolean {
    if (remaining <= 0 || generatedRows % this.interval !== 0) return false;
    const { window } = this.policy;
    const kept = rankedBudget(budget, window) + window;
    return rankedRows.some((rows, layer) => rows + recentRows[layer] > kept);
  }
}

/** A window's queries, or all of them where all are summed; but no more than scorers take, or than an interval has. */
function scoringQueries({ window, needs, attentionStatistics }: SequencePolicy, interval: number): number {
  const most = Math.min(interval, MAX_WINDOW);
  if (needs.attentionSums) return most;
  return needs.windowQueries || attentionStatistics ? Math.min(window, most) : 0;
}
