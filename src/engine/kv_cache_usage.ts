/** @file What the KV cache of a prompt came to, as it is reported. */
import { blocksFor } from "../cache/block.ts";
import { isMassBudget } from "../cache/budgets.ts";
import type { KvCacheUsage } from "../contract/generation.ts";
import type { SequenceCache } from "../cache/sequence_cache.ts";
import type { GenerationRequest } from "../contract/generation.ts";
import type { PolicyContext } from "../policy/context.ts";
import type { SequencePolicy } from "../policy/policy.ts";

/** A sequence as far as its cache goes, whatever device holds it. */
export interface CachedSequence {
  readonly request: GenerationRequest;
  readonly context: PolicyContext;
  /** `null` keeps every row. */
  readonly policy: SequencePolicy | null;
  /** Rows at the end of the prompt that are kept beside the ranked ones. */
  readonly window: number;
  readonly residence: { readonly cache: SequenceCache };
  /** Why uniform budgets took the place of its policy, if they did. */
  readonly fallback: { readonly reason: string | undefined };
}

/** Whether what its layers keep is told while the prompt is read. */
export function isToldReading({ reportsReading, kvCache: { report } }: GenerationRequest): boolean {
  return reportsReading ?? report !== undefined;
}

/** Prompt rows kept in each of the first `layers` layers; the mean of its KV heads, which can be a fraction. */
export function promptRowsPerLayer(
  { policy, window, context: { promptLength, kvHeadCount }, residence: { cache } }: CachedSequence,
  layers: number,
): number[] {
  return Array.from({ length: layers }, (_, layer) => {
    if (policy === null) return promptLength;
    const heads = cache.headRows(layer, kvHeadCount);
    return heads.reduce((sum, rows) => sum + rows) / heads.length + window;
  });
}

/**
 * What the prompt's rows came to, once every layer has been compressed; rows generated since do not count.
 *
 * @param positions where they are reported, see {@link keptPositions}
 */
export function kvCacheUsage(sequence: CachedSequence, positions?: KvCacheUsage["positions"]): KvCacheUsage {
  const { request, policy, window, context, fallback, residence: { cache } } = sequence;
  const { promptLength: promptRows, layerCount, kvHeadCount } = context;
  const { blockBytes } = cache.pool;
  const ranked = Array.from({ length: layerCount }, (_, layer) => Array.from(cache.headRows(layer, kvHeadCount)));
  // A compressed layer keeps its window beside the ranked rows, any other the whole prompt.
  const recent = policy === null ? promptRows : window;
  const { budget } = request.kvCache;
  return {
    policy: request.kvCache.policy,
    budget: policy === null ? promptRows : policy.found?.rows ?? context.budget,
    promptRows,
    rowsPerLayer: promptRowsPerLayer(sequence, layerCount),
    ...isMassBudget(budget) && {
      mass: { wanted: budget.mass, kept: policy === null ? 1 : policy.found?.kept ?? null, maxRows: context.budget },
    },
    rowsPerHead: policy?.perHead ? ranked.map((heads) => heads.map((rows) => rows + recent)) : undefined,
    bytes: ranked.reduce((sum, _, layer) => sum + cache.rankedBlocks(layer) + blocksFor(recent), 0) * blockBytes,
    fullBytes: layerCount * blocksFor(promptRows) * blockBytes,
    fallback: fallback.reason,
    ...positions !== undefined && { positions },
  };
}
