/** @file Rows by score, best first. */
import type { Recorder } from "../gpu/recorder.ts";
import { topRows, topRowsDispatch, topRowsScratchBytes } from "../kernels/scoring/top_rows.ts";
import type { ScoringWork } from "./scoring_work.ts";

/** Records that `indices` starts with the `count` best of the first `length` rows of each KV head. */
export function recordRanking(
  work: ScoringWork,
  recorder: Recorder,
  scores: GPUBuffer,
  length: number,
  count: number,
): void {
  const { kvHeadCount, capacity } = work.options;
  const survivors = work.scratch("ranking scratch", topRowsScratchBytes(kvHeadCount, capacity));
  const shape = { kvHeadCount, length, count, scoreCapacity: capacity, indexCapacity: capacity };
  work.dispatch(recorder, topRows, [scores, survivors, work.indices], topRowsDispatch(shape));
}
