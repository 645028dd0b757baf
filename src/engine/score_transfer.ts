/**
 * @file From scores to block tables, the way through the GPU. The host learns the scores of a submit when its results are
 * mapped; what it cuts then holds for whatever is recorded next, so a sharing takes effect one submit late.
 *
 *     clearScores() | layers scored | sendScores() | submit ... mapped | takeInScores(): budgets, layers cut | writeTables()
 *
 * The budgets themselves are made in layer_budgets.ts.
 */
import type { Recorder } from "../gpu/recorder.ts";
import type { Model } from "../model/model.ts";
import type { SequencePolicy } from "../policy/policy.ts";
import { LAYER_RECORD_WORDS } from "../scores/layer_record.ts";
import { sumOf } from "../scores/score_histogram.ts";
import type { Counters } from "./counters.ts";
import type { ScoredLayer } from "./layer_budgets.ts";
import type { Readback, ReadbackView } from "./readback.ts";
import type { Sequence } from "./sequence.ts";

/** Scores that a submit sends to the host, and what is to be done with them. */
export interface ScoreTransfer {
  readonly sequence: Sequence;
  /** The policy that they were made for. */
  readonly policy: SequencePolicy;
  /** First pack row of its prompt. */
  readonly start: number;
  readonly fromLayer: number;
  readonly throughLayer: number;
  /** Whether the sequence's rows are to be allotted again. */
  readonly isRebalance: boolean;
  /** Which rows were scored, where these are not the ranked ones. */
  readonly rows?: "generated";
}

/** Records that a sequence's layer records are empty: scoring adds to them. */
export function clearScores(
  { compressor, layerRecords, recordLayout, config }: Model,
  recorder: Recorder,
  sequence: Sequence,
): void {
  const first = recordLayout.record(sequence.residence.slot, 0);
  recorder.clear(layerRecords, first * 4, config.layerCount * LAYER_RECORD_WORDS * 4);
  if (sequence.policy?.hasKernel) compressor.clearUnusable(recorder, sequence.residence.slot);
}

/** Records the way of scores to the host. What is sent for every layer is that of the layer scored last. */
export function sendScores(model: Model, recorder: Recorder, readback: Readback, transfer: ScoreTransfer): void {
  const { compressor, layerRecords } = model;
  const { sequence, policy, start, fromLayer, throughLayer } = transfer;
  const { slot } = sequence.residence;
  if (policy.exactScores) readback.copyScores(recorder, compressor.scores, start, sequence.scoredRows);
  if (policy.perHead) readback.copyHeadHistograms(recorder, layerRecords, slot);
  if (policy.hasKernel) readback.copyUnusable(recorder, compressor.unusableScores, slot);
  readback.copyLayerRecords(recorder, layerRecords, slot, fromLayer, throughLayer);
}

/**
 * Takes in scores that have been read back, and, where rows are to be allotted again, cuts the sequence's layers to what its
 * policy gives them. What has to be copied for that is recorded, and runs before whatever is recorded next.
 */
export function takeInScores(
  model: Model,
  recorder: Recorder,
  counters: Counters,
  transfer: ScoreTransfer,
  results: ReadbackView,
): void {
  const { sequence: { budgets, residence: { cache } }, policy, fromLayer, throughLayer, isRebalance } = transfer;
  for (let layer = fromLayer; layer <= throughLayer; layer++) budgets.add(scoredLayer(transfer, layer, results));
  if (policy.hasKernel) countUnusable(counters, transfer, results);
  if (!isRebalance) return;
  const begun = performance.now();
  for (const moves of budgets.share(policy, cache, transfer.rows)) {
    model.compressor.moveSlots(recorder, cache.arena, moves);
  }
  counters.rebalances++;
  counters.rebalanceSeconds += (performance.now() - begun) / 1000;
}

/** Each transfer of a prompt counts all of the prompt so far. */
function countUnusable(counters: Counters, { sequence }: ScoreTransfer, results: ReadbackView): void {
  const { policy } = sequence.request.kvCache;
  const unusable = results.unusable(sequence.residence.slot);
  counters.unusableScores[policy] = (counters.unusableScores[policy] ?? 0) + unusable - sequence.unusableScores;
  sequence.unusableScores = unusable;
}

function scoredLayer({ sequence, policy, start }: ScoreTransfer, layer: number, results: ReadbackView): ScoredLayer {
  const { slot } = sequence.residence;
  const headHistograms = policy.perHead ? results.headHistograms(slot) : undefined;
  return {
    histogram: headHistograms ? sumOf(headHistograms) : results.histogram(slot, layer),
    headHistograms,
    scores: policy.exactScores ? results.scores(start, sequence.scoredRows) : undefined,
    statistics: policy.attentionStatistics ? results.statistics(slot, layer) : undefined,
  };
}
