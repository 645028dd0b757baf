/** @file A sequence as the GPU's batch sees it. */
import { adjustsLogits } from "../kernels/sampling/sampling_record.ts";
import type { BatchRow } from "../model/batch_state.ts";
import type { Sequence } from "./sequence.ts";

/** The row of a sequence in the batch of a submit, as it is before the submit's first step. */
export function batchRow({ request, tokens, constraint, residence: { slot, cache, buffers } }: Sequence): BatchRow {
  return {
    slot,
    arena: cache.arena,
    position: tokens.position,
    rankedRows: cache.rankedRows,
    packedBlocks: cache.packedBlocks,
    recentRows: cache.recentRows,
    adjustsLogits: adjustsLogits(request.sampling),
    isMasked: tokens.unending > 0 || (constraint !== null && constraint.mask !== null),
    topLogprobs: (request.topLogprobs ?? 0) > 0,
    forcedTokens: tokens.givenAhead,
    queryLog: buffers?.queryLog ?? null,
  };
}
