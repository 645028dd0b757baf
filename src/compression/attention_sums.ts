/**
 * @file The attention that all queries of a prompt pay to each of its rows, summed tile by tile while a layer is read; and, where
 * rows are evicted while tokens are generated, carried from one compression to the next.
 */
import type { Recorder } from "../gpu/recorder.ts";
import { attentionSums, attentionSumsDispatches } from "../kernels/scoring/attention_sums.ts";
import { gatherSums, gatherSumsDispatch } from "../kernels/scoring/gather_sums.ts";
import type { CarriedAttention } from "./carried_attention.ts";
import type { ScoringWork } from "./scoring_work.ts";

/** Rows of a prompt whose attention is to be summed. */
export interface TileRows {
  /** First row of the prompt in the pack. */
  readonly start: number;
  /** What the attention of each row is divided by: the rows of the whole prompt. */
  readonly length: number;
  /** First of the rows in the prompt, and in the tile. */
  readonly first: number;
  readonly tileRow: number;
  readonly count: number;
}

/** Rows of a segment that are kept. */
export interface KeptRows {
  /** First row of the segment in the pack, and its rows. */
  readonly start: number;
  readonly length: number;
  /** The best ones by the indices, and the last ones. */
  readonly ranked: number;
  readonly window: number;
}

/** f32 `[kvHead][capacity]`, by row of the pack. */
export function attentionSumsBuffer(work: ScoringWork): GPUBuffer {
  return work.scratch("attention sums", work.rowBytes);
}

/** Adds the attention that rows of the tile prefilled last pay to the rows of their prompt, before the next tile is prefilled. */
export function addAttention(work: ScoringWork, recorder: Recorder, rows: TileRows): void {
  const { headSize } = work.options;
  const { tileQueries, keys } = work.buffers;
  // A number for each query.
  const statistics = work.scratch("attention statistics", tileQueries.size / headSize);
  const { subgroupSize } = work.gpu;
  const kernels = work.made(
    "attention sums",
    ({ element, headSize }) => attentionSums({ element, headSize, subgroupSize }),
  );
  const dispatches = attentionSumsDispatches({ ...work.options, ...rows });
  work.dispatch(recorder, kernels.statistics, [tileQueries, keys, statistics], dispatches.statistics);
  const buffers = [tileQueries, keys, statistics, attentionSumsBuffer(work)];
  work.dispatch(recorder, kernels.sums, buffers, dispatches.sums);
}

/** Keeps the attention that has been added to the rows of the segment ranked last, of those that are kept. */
export function keepAttention(
  work: ScoringWork,
  recorder: Recorder,
  carried: CarriedAttention,
  layer: number,
  kept: KeptRows,
): void {
  const { capacity, kvHeadCount } = work.options;
  const gathered = work.scratch("gathered attention sums", work.rowBytes);
  const buffers = [attentionSumsBuffer(work), work.indices, gathered];
  work.dispatch(recorder, gatherSums, buffers, gatherSumsDispatch({ ...kept, kvHeadCount, capacity }));
  for (let head = 0; head < kvHeadCount; head++) {
    const bytes = (kept.ranked + kept.window) * 4;
    recorder.copy(gathered, head * capacity * 4, carried.buffer, carried.offset(layer, head), bytes);
  }
  carried.rankedRows[layer] = kept.ranked;
  carried.windowRows[layer] = kept.window;
}

/** Starts from what was kept of a layer, of which `ranked` ranked rows are left, before the attention of later rows is added. */
export function resumeAttention(
  work: ScoringWork,
  recorder: Recorder,
  carried: CarriedAttention,
  layer: number,
  ranked: number,
): void {
  const { capacity, kvHeadCount } = work.options;
  const buffer = attentionSumsBuffer(work);
  const window = carried.windowRows[layer];
  recorder.clear(buffer);
  for (let head = 0; head < kvHeadCount && window > 0; head++) {
    const copy = (from: number, to: number, rows: number) => {
      const source = carried.offset(layer, head, from);
      recorder.copy(carried.buffer, source, buffer, (head * capacity + to) * 4, rows * 4);
    };
    copy(0, 0, ranked);
    copy(carried.rankedRows[layer], ranked, window);
  }
}
