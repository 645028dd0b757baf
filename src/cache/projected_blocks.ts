/**
 * @file How many blocks a sequence can come to need, for admission.
 */
import type { PolicyContext, SequencePolicy } from "../plugins/policy.ts";
import { BLOCK_ROWS, blocksFor } from "./block.ts";
import { rankedBudget } from "./budgets.ts";

/**
 * The most blocks that a sequence can hold at once, from its first layer to its last token, whatever its scores are.
 *
 * @param policy `null` keeps every row
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
  let ranked = 0;
  let peak = 0;
  for (let layer = 0; layer < layerCount; layer++) {
    // A policy that fails is replaced by uniform budgets, shared after every layer: reckon with those too.
    ranked += blocksFor(Math.max(policy.provisionalRows(layer), base));
    peak = Math.max(peak, ranked + (layer + 1) * blocksFor(window));
    // At worst every layer ends one row into a block of its own.
    if (policy.isRebalanceDue(layer)) {
      ranked = Math.min(ranked, Math.floor((total + (layer + 1) * (BLOCK_ROWS - 1)) / BLOCK_ROWS));
    }
  }
  return Math.max(peak, ranked + layerCount * blocksFor(window + newRows));
}
