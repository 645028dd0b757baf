/** @file The steps `chunkAttention` and `leverage` on the GPU: see kernels/scoring/{chunk_attention,leverage_scores}.ts. */
import { chunkAttention, chunkAttentionDispatch } from "../../kernels/scoring/chunk_attention.ts";
import { leverageDispatches, leverageScores, sketchKeys } from "../../kernels/scoring/leverage_scores.ts";
import type { ChunkAttention } from "../../policy/steps/chunk_attention.ts";
import type { Leverage } from "../../policy/steps/leverage.ts";
import { sketchWidth } from "../../scores/sketch.ts";
import { layerQueriesBuffer } from "../layer_queries.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Records what the rows around each row pay to it. */
export const recordChunkAttention: StepRecorder<ChunkAttention> = (
  work,
  recorder,
  _step,
  { start, length, scored },
) => {
  const kernel = work.made("chunk attention", ({ element, headSize }) => chunkAttention(element, headSize));
  const buffers = [layerQueriesBuffer(work), work.buffers.keys, work.scores];
  work.dispatch(recorder, kernel, buffers, chunkAttentionDispatch({ ...work.options, start, length, scored }));
};

/** Records the leverage of keys. */
export const recordLeverage: StepRecorder<Leverage> = (work, recorder, _step, { start, length, scored }) => {
  const { ropeTable } = work.buffers;
  if (ropeTable === undefined) throw new Error("Nothing is known of how keys are rotated");
  const kernels = work.made("leverage", ({ element, headSize, rotary }) => ({
    sketch: sketchKeys(element, headSize, rotary?.pairing ?? "halves"),
    scores: leverageScores(headSize),
  }));
  const sketches = work.scratch("sketches of keys", work.rowBytes * sketchWidth(work.options.headSize));
  const dispatches = leverageDispatches({ ...work.options, start, length, scored });
  work.dispatch(recorder, kernels.sketch, [work.buffers.keys, ropeTable, sketches], dispatches.sketch);
  work.dispatch(recorder, kernels.scores, [sketches, work.scores], dispatches.scores);
};
