/** @file What is told of a prompt's cache while the prompt is being read, the same for both engines. */
import type { GenerationEvent } from "../contract/generation.ts";
import { keptPositions, type RankedPositions } from "./kept_positions.ts";
import { type CachedSequence, promptRowsPerLayer } from "./kv_cache_usage.ts";

/** Most numbers of positions in an event: they come anew with every layer, and the thread of HTTP must have time for others. */
const MOST_POSITIONS = 65_536;

/** How far a prompt has been read. */
export interface ReadingProgress {
  /** Layers that all of the prompt has passed. */
  readonly layersRead: number;
  /** The part of the work that is done, in [0, 1]. */
  readonly share: number;
}

/**
 * Rows of the layers that have been read, and, while others are still to come, their positions, if rows are dropped and they are not too
 * many. All positions come when the prompt has been read.
 *
 * @param ranked null where nobody asks for positions
 */
export function readingEvent(
  sequence: CachedSequence,
  { layersRead: layers, share }: ReadingProgress,
  ranked: RankedPositions | null,
): GenerationEvent {
  const { policy, context: { layerCount, kvHeadCount } } = sequence;
  const rowsPerLayer = promptRowsPerLayer(sequence, layers);
  const numbers = kvHeadCount * rowsPerLayer.reduce((sum, rows) => sum + rows, 0);
  const isTold = policy !== null && layers < layerCount && numbers <= MOST_POSITIONS;
  const positions = isTold && ranked !== null ? keptPositions(sequence, ranked, layers) : undefined;
  return { type: "reading", rowsPerLayer, share, ...positions && { positions } };
}
