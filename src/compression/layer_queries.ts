/** @file The queries of all rows of the layer that is being read, kept for steps that ask some of them once the layer is done. */
import type { Recorder } from "../gpu/recorder.ts";
import type { ScoringWork } from "./scoring_work.ts";

/** f32 `[row of the pack][queryHead][headSize]`. */
export function layerQueriesBuffer(work: ScoringWork): GPUBuffer {
  return work.scratch("queries of a layer", work.options.capacity * bytesOfRow(work));
}

/**
 * Keeps the queries of the tile prefilled last, before the next tile is prefilled.
 *
 * @param row first row of the tile in the pack
 */
export function keepQueries(work: ScoringWork, recorder: Recorder, row: number, count: number): void {
  const bytes = bytesOfRow(work);
  recorder.copy(work.buffers.tileQueries, 0, layerQueriesBuffer(work), row * bytes, count * bytes);
}

function bytesOfRow({ options: { queryHeadCount, headSize } }: ScoringWork): number {
  return queryHeadCount * headSize * 4;
}
