/**
 * @file Eviction while tokens are generated: the rows of each layer are scored by the queries of the last rows, the best of them
 * take the place of all, and the policy shares the budget among the layers. See engine/eviction.ts, whose rules these are.
 */
import type { DecodeEviction, EvictedRows } from "../engine/eviction.ts";
import { cutLayers } from "./prompt_pack.ts";
import { DecodeMemory } from "./decode_memory.ts";
import type { AttendedRows, Forward } from "./forward.ts";
import { LayerRowsInHeap, type LayerToScore, scoreLayer } from "./layer_scoring.ts";
import { bestRows } from "./ranking.ts";
import type { Sequence } from "./sequence.ts";

/** What a sequence that evicts has to remember. */
export function decodeMemory(
  { querySize, config: { layerCount } }: Forward,
  { forecast: { eviction }, request: { prompt } }: Sequence,
): DecodeMemory | null {
  if (eviction === null) return null;
  const { interval, queries } = eviction;
  return new DecodeMemory({ layerCount, querySize, queries, interval, firstPosition: prompt.length });
}

/**
 * Evicts rows of a sequence whose interval is over.
 *
 * @returns rows of each layer before it
 */
export function evict(forward: Forward, sequence: Sequence, eviction: DecodeEviction): number[] {
  const { policy, policy: { window }, protection: { leavesPrompt }, promptRows } = eviction;
  const { cache, layers, evictions } = sequence;
  const held = cache.rowsPerLayer(forward.config.kvHeadCount);
  sequence.budgets.forget();
  layers.forEach((rows, layer) => {
    const own = eviction.rowsOf(cache, layer);
    const length = own.ranked + own.recent;
    const scored = length - window;
    // Only where a policy has failed and another's window has taken its place.
    if (scored <= 0) return;
    const source = layerToScore(forward, sequence, layer, eviction, own);
    const { scores, seen } = scoreLayer(
      new LayerRowsInHeap(forward, source),
      eviction.score(evictions === 0, own),
      policy,
    );
    sequence.budgets.add(seen);
    const ranked = Math.min(policy.provisionalRows(layer), scored);
    const best = scores.map((own) => bestRows(own, ranked));
    if (leavesPrompt) {
      cache.keepGenerated(layer, promptRows + window, ranked);
      rows.keepRecent(promptRows, best, scored, window);
    } else {
      cache.rearrange(layer, ranked, window);
      rows.fill(source, best, scored, window, recentBlocks(sequence, layer));
    }
    if (source.sums !== null) {
      const { sums } = source;
      sequence.memory!.sums[layer] = {
        ranked: best.map((indices, head) => Float32Array.from(indices, (row) => sums[head][row])),
        window: sums.map((own) => own.slice(scored)),
      };
    }
  });
  if (leavesPrompt) cutGenerated(sequence, eviction);
  else cutLayers(sequence, policy);
  sequence.budgets.forget();
  sequence.evictions++;
  return held;
}

/** Cuts the generated rows of every layer to what the policy allots it. */
function cutGenerated(sequence: Sequence, { policy, promptRows }: DecodeEviction): void {
  const { cache, layers, budgets } = sequence;
  const before = cache.rankedGenerated.slice();
  budgets.share(policy, cache, "generated");
  layers.forEach((rows, layer) => {
    const kept = cache.rankedGenerated[layer];
    rows.dropAmongRecent(promptRows + kept, before[layer] - kept);
    rows.reserve(recentBlocks(sequence, layer));
  });
}

function recentBlocks({ cache }: Sequence, layer: number): number {
  return cache.table(layer).length - cache.rankedBlocks(layer);
}

function layerToScore(
  forward: Forward,
  sequence: Sequence,
  layer: number,
  eviction: DecodeEviction,
  own: EvictedRows,
): LayerToScore {
  const rows = sequence.layers[layer];
  const { headSize } = forward.config;
  const length = own.ranked + own.recent;
  /** The rows are the last ones of each head: all, or the generated ones. */
  const firstRow = (head: number) => rows.rows(head) - length;
  // Taken now: where rows lie changes when they are stored.
  const heads = (elements: Float32Array) =>
    Array.from(rows.ranked, (_, head) => {
      const at = rows.firstElement(head) + firstRow(head) * headSize;
      return elements.subarray(at, at + length * headSize);
    });
  const keys = heads(rows.keys);
  const values = heads(rows.values);
  const lastQueries = eviction.queries > 0 ? sequence.memory!.layerQueries(layer) : new Float32Array();
  const source: LayerToScore = {
    index: layer,
    length,
    window: eviction.policy.window,
    keys: (head) => keys[head],
    values: (head) => values[head],
    keyAddress: (head) => rows.keyAddress(head) + firstRow(head) * headSize * 4,
    lastQueries,
    allQueries: null,
    chunkSums: null,
    sums: null,
    knownScores: null,
  };
  if (!eviction.policy.needs.attentionSums) return source;
  return { ...source, sums: addedSums(forward, sequence, layer, source, own, eviction) };
}

/** The attention that rows have been paid so far, and what the last queries pay them. */
function addedSums(
  forward: Forward,
  sequence: Sequence,
  layer: number,
  { length, lastQueries, keyAddress }: LayerToScore,
  { ranked }: EvictedRows,
  { queries, interval }: DecodeEviction,
): Float32Array[] {
  const { config: { kvHeadCount, queryHeadCount, headSize }, querySize, runtime } = forward;
  const carried = sequence.memory!.sums[layer];
  const group = queryHeadCount / kvHeadCount;
  // In the units of the prompt's sums. Where an interval has more rows than are asked, these speak for all of them.
  const divisor = sequence.request.prompt.length * queries / interval;
  return Array.from({ length: kvHeadCount }, (_, head) => {
    const sums = new Float32Array(length);
    if (carried !== null) {
      // Fewer ranked rows may be held by now than were carried.
      sums.set(carried.ranked[head].subarray(0, ranked));
      sums.set(carried.window[head], ranked);
    }
    const asked = runtime.floats(group * queries * headSize);
    for (let inGroup = 0; inGroup < group; inGroup++) {
      for (let i = 0; i < queries; i++) {
        const at = i * querySize + (head * group + inGroup) * headSize;
        asked.values.set(lastQueries.subarray(at, at + headSize), (inGroup * queries + i) * headSize);
      }
    }
    const attended: AttendedRows = {
      queries: asked,
      count: queries,
      seen: length - queries + 1,
      keys: () => keyAddress(head),
      values: () => 0,
    };
    const means = forward.meanAttention(attended, 0);
    means.values.forEach((mean, row) => sums[row] += mean * queries / divisor);
    runtime.free(means);
    runtime.free(asked);
    return sums;
  });
}
