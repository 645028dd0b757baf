/** @file What the KV cache of a prompt came to, as it is reported. */
import { blocksFor } from "../cache/block.ts";
import type { KvCacheUsage } from "../contract/generation.ts";
import type { Sequence } from "./sequence.ts";

/** What the prompt's rows came to, once every layer has been compressed; rows generated since do not count. */
export function kvCacheUsage(
  { request, policy, window, context, fallback, residence: { cache } }: Sequence,
): KvCacheUsage {
  const { promptLength: promptRows, layerCount, kvHeadCount } = context;
  const { blockBytes } = cache.pool;
  const ranked = Array.from({ length: layerCount }, (_, layer) => Array.from(cache.headRows(layer, kvHeadCount)));
  // A compressed layer keeps its window beside the ranked rows, any other the whole prompt.
  const recent = policy === null ? promptRows : window;
  return {
    policy: request.kvCache.policy,
    promptRows,
    rowsPerLayer: ranked.map((heads) => heads.reduce((sum, rows) => sum + rows) / heads.length + recent),
    rowsPerHead: policy?.perHead ? ranked.map((heads) => heads.map((rows) => rows + recent)) : undefined,
    bytes: ranked.reduce((sum, _, layer) => sum + cache.rankedBlocks(layer) + blocksFor(recent), 0) * blockBytes,
    fullBytes: layerCount * blocksFor(promptRows) * blockBytes,
    fallback: fallback.reason,
  };
}
