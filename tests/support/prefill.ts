/** @file Runs a policy through a prefill without a model: given scores in, rows kept out. */
import type { AttentionStatistics } from "../../src/scores/layer_record.ts";
import { histogramOf } from "../../src/scores/score_histogram.ts";
import type { LayerScores, StartedPolicy } from "../../src/policy/policy.ts";
import { normalValues } from "../../fixtures/random.ts";
import type { PolicyContext } from "../../src/policy/context.ts";

/** What a prefill left behind. */
export interface PrefillResult {
  /** Ranked rows per layer at the end; per KV head of each layer where the policy allots those. */
  readonly rows: number[];
  /** The same of the layers seen so far, after each sharing of the budget. */
  readonly shared: number[][];
  /** The most of them held at once by all layers. */
  readonly peakRows: number;
}

/** The KV heads of tests whose policies allot rows to every head. */
export const KV_HEADS = 2;

/**
 * What a policy gets to see of a layer.
 *
 * @param scores `[KV_HEADS x scoredRows]`
 * @param held Ranked rows of the layer, or of each of its heads
 */
export function layerScores(
  policy: StartedPolicy,
  scores: Float32Array,
  held: readonly number[],
  statistics?: AttentionStatistics,
): LayerScores {
  const perHead = scores.length / KV_HEADS;
  return {
    histogram: histogramOf(scores),
    scores: policy.exactScores ? scores : undefined,
    statistics: policy.attentionStatistics ? statistics : undefined,
    heldRows: Math.max(...held),
    ...(policy.perHead && {
      headHistograms: held.map((_, head) => histogramOf(scores.subarray(head * perHead, (head + 1) * perHead))),
      headRows: Uint32Array.from(held),
    }),
  };
}

/**
 * @param scores Of each layer: `[kvHeadCount x scoredRows]`, with {@link KV_HEADS} where rows are allotted to every head
 * @param statistics Of each layer, for policies that ask for them
 */
export function prefill(
  policy: StartedPolicy,
  scores: readonly Float32Array[],
  statistics: readonly AttentionStatistics[] = [],
): PrefillResult {
  const heads = policy.perHead ? KV_HEADS : 1;
  let rows: number[] = [];
  const shared: number[][] = [];
  let peakRows = 0;
  for (let layer = 0; layer < scores.length; layer++) {
    rows.push(...Array(heads).fill(policy.provisionalRows(layer)));
    peakRows = Math.max(peakRows, rows.reduce((sum, count) => sum + count));
    if (!policy.isRebalanceDue(layer)) continue;
    const seen = scores.slice(0, layer + 1).map((own, i) =>
      layerScores(policy, own, rows.slice(i * heads, (i + 1) * heads), statistics[i])
    );
    rows = Array.from(policy.allot(seen));
    shared.push([...rows]);
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

/** What a policy knows of a sequence of six layers, {@link KV_HEADS} heads, a prompt of 400 and a budget of 64, unless told. */
export function contextOf(context: Partial<PolicyContext>): PolicyContext {
  return {
    layerCount: 6,
    kvHeadCount: KV_HEADS,
    headSize: 8,
    blockSize: 16,
    messages: [],
    promptLength: 400,
    budget: 64,
    ...context,
  };
}
