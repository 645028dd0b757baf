/** @file What is told of a prompt's cache while the prompt is being read, the same for both engines. */
import type { GenerationEvent } from "../contract/generation.ts";
import { keptPositions, type RankedPositions } from "./kept_positions.ts";
import { type CachedSequence, promptRowsPerLayer } from "./kv_cache_usage.ts";

/** Most numbers of positions in an event: they come anew with every layer, and the thread of HTTP must have time for others. */
const MOST_POSITIONS = 65_536;

/**
 * Rows of the first `layers` layers, and, while others are still to come, their positions, if rows are dropped and they are not too
 * many. All positions come when the prompt has been read.
 */
export function readingEvent(sequence: CachedSequence, layers: number, ranked: RankedPositions): GenerationEvent {
  const { policy, context: { layerCount, kvHeadCount } } = sequence;
  const rowsPerLayer = promptRowsPerLayer(sequence, layers);
  const numbers = kvHeadCount * rowsPerLayer.reduce((sum, rows) => sum + rows, 0);
  const tellsPositions = policy !== null && layers < layerCount && numbers <= MOST_POSITIONS;
  return { type: "reading", rowsPerLayer, ...tellsPositions && { positions: keptPositions(sequence, ranked, layers) } };
}
