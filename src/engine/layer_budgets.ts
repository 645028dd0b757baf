/**
 * @file From scores to block tables, the host's part: the scores of a sequence's layers, the budgets that its policy makes of
 * them, and its layers cut to these. It is the same for a prompt, whose layers arrive one after the other, and for an eviction
 * while tokens are generated, for which all of them are scored anew.
 *
 *     scores of a layer --add()--> layers so far --policy.allot()--> budgets --share()--> SequenceCache, tails dropped
 *
 * How scores come here, and what becomes of the tables on the GPU, score_transfer.ts says.
 */
import type { SequenceCache } from "../cache/sequence_cache.ts";
import type { LayerScores, SequencePolicy } from "../policy/policy.ts";

/** What is known of a layer that has been scored. What a policy does not ask for is not there. */
export type ScoredLayer = Pick<LayerScores, "histogram" | "headHistograms" | "scores" | "statistics">;

export class LayerBudgets {
  /** By layer. */
  readonly #scored: ScoredLayer[] = [];

  constructor(readonly kvHeadCount: number) {}

  /** Takes in the scores of the next layer. */
  add(layer: ScoredLayer): void {
    this.#scored.push(layer);
  }

  /** Drops all scores, once rows have been shared by them for good. */
  forget(): void {
    this.#scored.length = 0;
  }

  /**
   * Asks the policy for the budgets of the layers so far, and cuts them to these.
   *
   * @param rows which of theirs these are about
   * @returns the copies that this takes, in order, as pairs (from, to) of slots of the cache's arena: see
   * {@link SequenceCache.truncateHeads}
   */
  share(
    policy: SequencePolicy,
    cache: SequenceCache,
    rows: "ranked" | "generated" = "ranked",
  ): readonly Uint32Array<ArrayBuffer>[] {
    const heldRows = rows === "ranked" ? cache.rankedRows : cache.rankedGenerated;
    const budgets = policy.allot(this.#layerScores(policy, cache, heldRows));
    if (rows === "generated") {
      budgets.forEach((rows, layer) => cache.truncateGenerated(layer, rows));
      return [];
    }
    if (!policy.perHead) {
      budgets.forEach((rows, layer) => cache.truncateRanked(layer, rows));
      return [];
    }
    const heads = this.kvHeadCount;
    return this.#scored.map((_, layer) =>
      cache.truncateHeads(layer, budgets.subarray(layer * heads, (layer + 1) * heads))
    );
  }

  /** The layers so far, as a policy sees them. */
  #layerScores({ perHead }: SequencePolicy, cache: SequenceCache, heldRows: Uint32Array): LayerScores[] {
    return this.#scored.map((scored, layer) => ({
      ...scored,
      heldRows: heldRows[layer],
      headRows: perHead ? cache.headRows(layer, this.kvHeadCount) : undefined,
    }));
  }
}
