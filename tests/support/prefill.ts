/** @file Runs a policy through a prefill without a model: given scores in, rows kept out. */
import type { AttentionStatistics } from "../../src/cache/layer_record.ts";
import { histogramOf } from "../../src/cache/score_histogram.ts";
import type { SequencePolicy } from "../../src/plugins/policy.ts";
import { normalValues } from "./random.ts";

/** What a prefill left behind. */
export interface PrefillResult {
  /** Ranked rows per layer at the end. */
  readonly rows: number[];
  /** Ranked rows of the layers seen so far, after each sharing of the budget. */
  readonly shared: number[][];
  /** The most ranked rows held at once by all layers. */
  readonly peakRows: number;
}

/**
 * @param scores Of each layer: `[kvHeadCount x scoredRows]`
 * @param statistics Of each layer, for policies that ask for them
 */
export function prefill(
  policy: SequencePolicy,
  scores: readonly Float32Array[],
  statistics: readonly AttentionStatistics[] = [],
): PrefillResult {
  const rows: number[] = [];
  const shared: number[][] = [];
  let peakRows = 0;
  for (let layer = 0; layer < scores.length; layer++) {
    rows.push(policy.provisionalRows(layer));
    peakRows = Math.max(peakRows, rows.reduce((sum, count) => sum + count));
    if (!policy.isRebalanceDue(layer)) continue;
    const allotted = policy.allot(rows.map((heldRows, i) => ({
      histogram: histogramOf(scores[i]),
      scores: policy.exactScores ? scores[i] : undefined,
      statistics: policy.attentionStatistics ? statistics[i] : undefined,
      heldRows,
    })));
    rows.splice(0, rows.length, ...allotted);
    shared.push([...allotted]);
  }
  return { rows, shared, peakRows };
}

/** Log-normal scores, as attention has them, with a level and a spread of its own for every layer. */
export function randomScores(random: () => number, layerCount: number, scoresPerLayer: number): Float32Array[] {
  return Array.from({ length: layerCount }, () => {
    const level = -9 + 3 * random();
    const spread = 0.5 + 2 * random();
    return normalValues(random, scoresPerLayer).map((value) => Math.min(8, Math.exp(level + spread * value)));
  });
}
