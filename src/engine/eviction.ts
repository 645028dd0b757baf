/**
 * @file Eviction while tokens are generated, so that a long answer needs no more memory than a short one.
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
import { LAYER_RECORD_WORDS } from "../scores/layer_record.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { MAX_WINDOW } from "../scores/limits.ts";
import { CarriedAttention } from "../compression/carried_attention.ts";
import type { Model } from "../model/model.ts";
import { QueryLog } from "../compression/query_log.ts";
import type { SequencePolicy } from "../policy/policy.ts";
import { type Score, scoreAgain } from "../policy/steps.ts";
import { type ScoreTransfer, writeTables } from "./pack.ts";
import type { Readback } from "./readback.ts";
import type { Sequence } from "./sequence.ts";

/** How a sequence evicts while it generates. */
export interface DecodeEviction {
  readonly policy: SequencePolicy;
  /** The policy's score, of rows that were ranked before. */
  readonly score: Score;
  /** Generated rows between two evictions. */
  readonly interval: number;
  /** Queries that score the rows: those of the last rows before an eviction. */
  readonly queries: number;
}

/** Scores that an eviction sends to the host. */
export interface EvictionTransfer extends ScoreTransfer {
  /** Rows of each layer before it. */
  readonly heldRows: readonly number[];
}

/** The eviction of a policy that ranks. */
export function decodeEviction(policy: SequencePolicy, interval: number): DecodeEviction {
  return { policy, score: scoreAgain(policy.score), interval, queries: scoringQueries(policy, interval) };
}

/** A window's queries, or all of them where all are summed; but no more than scorers take, or than an interval has. */
function scoringQueries({ window, needs, attentionStatistics }: SequencePolicy, interval: number): number {
  const most = Math.min(interval, MAX_WINDOW);
  if (needs.attentionSums) return most;
  return needs.windowQueries || attentionStatistics ? Math.min(window, most) : 0;
}

/** Makes the buffers of a sequence that evicts. */
export function startEvicting(
  { gpu, config: { layerCount, kvHeadCount }, dimensions: { querySize } }: Model,
  sequence: Sequence,
  { policy, interval, queries }: DecodeEviction,
): void {
  const { prompt } = sequence.request;
  if (queries > 0) {
    const firstPosition = prompt.length;
    sequence.queryLog = new QueryLog(gpu, { layerCount, querySize, rows: queries, interval, firstPosition });
  }
  if (policy.needs.attentionSums) {
    const policies = sequence.policy === null ? [policy] : [policy, sequence.policy];
    const provisional = policies.flatMap((some) =>
      Array.from({ length: layerCount }, (_, i) => some.provisionalRows(i))
    );
    // A policy that fails is replaced by uniform budgets: reckon with those too.
    const ranked = Math.max(...provisional, rankedBudget(sequence.context.budget, policy.window));
    const rows = Math.min(ranked + policy.window, prompt.length + sequence.end);
    sequence.carriedAttention = new CarriedAttention(gpu, { layerCount, kvHeadCount, rows });
  }
}

/** Frees what {@link startEvicting} made. Idempotent. */
export function stopEvicting(sequence: Sequence): void {
  sequence.queryLog?.destroy();
  sequence.carriedAttention?.destroy();
  sequence.queryLog = sequence.carriedAttention = null;
}

/**
 * Records the scoring of every layer of a sequence, and the way of its best rows and its window back into its blocks. All the
 * steps of the sequence that are recorded so far must be in the same submit or an earlier one.
 *
 * @returns the scores to be read back, upon which the layers are cut to what the policy allots them
 */
export function recordEviction(
  model: Model,
  recorder: Recorder,
  readback: Readback,
  sequence: Sequence,
  { policy, score, interval, queries }: DecodeEviction,
): EvictionTransfer {
  const { slots, layerRecords, recordLayout, config: { layerCount } } = model;
  const { cache, slot, arena, queryLog, carriedAttention: carried } = sequence;
  const compressor = model.decodeCompressor();
  // In the units of the prompt's sums. Where an interval has more rows than are asked, these speak for all of them.
  const divisor = sequence.request.prompt.length * queries / interval;
  const summing = carried === null ? null : { carried, divisor };
  const heldRows = Array.from(cache.rankedRows, (rows, layer) => rows + cache.recentRows[layer]);
  recorder.clear(layerRecords, recordLayout.record(slot, 0) * 4, layerCount * LAYER_RECORD_WORDS * 4);
  for (let layer = 0; layer < layerCount; layer++) {
    const tableOffset = slots.tableOffset(slot, layer);
    const rows = { arena, tableOffset, ranked: cache.rankedRows[layer], recent: cache.recentRows[layer] };
    const length = heldRows[layer];
    const scored = length - policy.window;
    // Only where a policy has failed and another's window has taken its place.
    if (scored <= 0) continue;
    const recordOffset = recordLayout.record(slot, layer);
    const statistics = policy.attentionStatistics;
    compressor.score(recorder, rows, { layer, score, statistics, queryLog, summing, recordOffset });
    const ranked = Math.min(policy.provisionalRows(layer), scored);
    cache.rearrange(layer, ranked, policy.window);
    // Blocks at most join a table's end, so that what reads it in this submit still finds its own.
    writeTables(model, sequence);
    compressor.store(recorder, length, { arena, tableOffset, ranked, recent: policy.window }, { layer, summing });
  }
  readback.copyLayerRecords(recorder, layerRecords, slot, 0, layerCount - 1);
  return { sequence, policy, start: 0, fromLayer: 0, throughLayer: layerCount - 1, isRebalance: true, heldRows };
}
