/** @file The step `random` on the GPU: see kernels/scoring/random_scores.ts. */
import { randomScores, randomScoresDispatch } from "../../kernels/scoring/random_scores.ts";
import type { Random } from "../../policy/steps/random.ts";
import { lotKey } from "../../scores/row_lots.ts";
import type { StepRecorder } from "../scoring_work.ts";

/** Records scores by lot. */
export const recordRandom: StepRecorder<Random> = (work, recorder, { seed }, { scored, layer = 0 }) =>
  work.dispatch(
    recorder,
    randomScores,
    [work.scores],
    randomScoresDispatch({ ...work.options, scored, key: lotKey(seed, layer) }),
  );
