/**
 * @file How many blocks a sequence can come to need, for admission.
 */
import type { PolicyContext, SequencePolicy } from "../plugins/policy.ts";
import { BLOCK_ROWS, blocksFor } from "./block.ts";
import { rankedBudget } from "./budgets.ts";

/**
 * The most blocks that a sequence can hold at once, from its first layer to its last token, whatever its scores are.
 *
 * Scores reach the host while the next layers are prefilled, so a sharing takes effect one interval late: by the next one,
 * the layers of two intervals can hold all of their provisional rows.
 *
 *     layers    settled: shared among | shared among, not cut yet | arrived since
 *
 * @param policy `null` keeps every row of the prompt
 * @param newRows Rows that are generated at most
 */
export function projectedBlocks(
  { layerCount, promptLength, budget }: PolicyContext,
  policy: SequencePolicy | null,
  newRows: number,
): number {
  if (policy === null || policy.scorer.name === "none") return layerCount * blocksFor(promptLength + newRows);

  const { window } = policy.scorer;
  const base = rankedBudget(budget, window);
  const total = base * layerCount;
  /** Blocks of ranked rows, at most, in these three groups of layers. */
  let settled = 0;
  let uncut = 0;
  let arrived = 0;
  /** Layers of the first two. */
  let sharedLayers = 0;
  let peak = 0;
  const settle = () => {
    // At worst every layer ends one row into a block of its own.
    settled = Math.min(settled + uncut, Math.floor((total + sharedLayers * (BLOCK_ROWS - 1)) / BLOCK_ROWS));
  };
  for (let layer = 0; layer < layerCount; layer++) {
    // A policy that fails is replaced by uniform budgets, shared after every layer: reckon with those too.
    arrived += blocksFor(Math.max(policy.provisionalRows(layer), base));
    peak = Math.max(peak, settled + uncut + arrived + (layer + 1) * blocksFor(window));
    if (!policy.isRebalanceDue(layer)) continue;
    settle();
    uncut = arrived;
    arrived = 0;
    sharedLayers = layer + 1;
  }
  settle();
  return Math.max(peak, settled + layerCount * blocksFor(window + newRows));
}

/**
 * The same for a sequence that, while tokens are generated, shares its budget anew after every `interval` rows.
 *
 * An eviction first puts rows into the blocks where they were, and cuts layers only when the policy has seen all scores: until
 * then a layer may hold all of its rows, ranked in one part of its blocks instead of two.
 *
 * @param policy of the prompt; `null` keeps every row of it
 * @param window rows that an eviction keeps beside the ranked ones
 */
export function projectedEvictingBlocks(
  context: PolicyContext,
  policy: SequencePolicy | null,
  window: number,
  interval: number,
): number {
  const { layerCount, promptLength, budget } = context;
  const promptRows = policy === null || policy.scorer.name === "none"
    ? promptLength
    : rankedBudget(budget, policy.scorer.window) + policy.scorer.window;
  const base = rankedBudget(budget, window);
  /** Rows of a layer, on average, when it is evicted from. */
  const most = Math.max(promptRows, base + window) + interval;
  /** Blocks of ranked rows, so many to a layer on average; at worst every layer ends one row into a block of its own. */
  const shared = (rows: number) => Math.floor(layerCount * (rows + BLOCK_ROWS - 1) / BLOCK_ROWS);
  return Math.max(
    projectedBlocks(context, policy, interval),
    // A prompt that was kept whole has no ranked rows until it has been evicted from.
    layerCount * blocksFor(most),
    shared(base) + layerCount * blocksFor(window + interval),
    shared(most - window) + layerCount * blocksFor(window),
  );
}
