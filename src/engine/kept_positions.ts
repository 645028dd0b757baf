/** @file Which rows of a prompt are kept, for requests that ask for their positions. */
import type { CachedSequence } from "./kv_cache_usage.ts";

/** Positions of the ranked rows of a layer's KV head, best first; there may be more of them than are still kept. */
export type RankedPositions = (layer: number, head: number) => Uint32Array;

/**
 * Positions of the prompt's rows that the first `layers` layers keep, rising, `[layer][kvHead][row]`: what is left of the ranked ones, and the window.
 * A single list where all heads of a layer keep the same rows.
 *
 * @param ranked is not asked where every row is kept
 */
export function keptPositions(
  { policy, window, context: { promptLength, layerCount, kvHeadCount }, residence: { cache } }: CachedSequence,
  ranked: RankedPositions,
  layers = layerCount,
): Uint32Array[][] {
  return Array.from({ length: layers }, (_, layer) => {
    if (policy === null) return [positionsFrom(0, promptLength)];
    const recent = positionsFrom(promptLength - window, promptLength);
    const heads = Array.from(cache.headRows(layer, kvHeadCount), (rows, head) => {
      const kept = ranked(layer, head).slice(0, rows).sort();
      return Uint32Array.from([...kept, ...recent]);
    });
    return heads.every((positions) => isSame(positions, heads[0])) ? [heads[0]] : heads;
  });
}

function positionsFrom(start: number, end: number): Uint32Array {
  return Uint32Array.from({ length: end - start }, (_, i) => start + i);
}

function isSame(positions: Uint32Array, others: Uint32Array): boolean {
  return positions.length === others.length && positions.every((position, i) => position === others[i]);
}
