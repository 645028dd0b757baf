/**
 * @file LAVa's scorer (Shen et al., arXiv 2509.09754): attention bounds how much a row can change the output of its layer only
 * together with the size of values, so heads are compared by attention times their largest value.
 *
 *     s[kvHead][j] = max over the group of  mean over i < window of a_ij  *  max over k of |v_k|,  pooled
 */
import { z } from "zod";
import type { ScorerPlugin } from "../../policy/policy.ts";
import { snapkvScorer } from "./snapkv.ts";
import { defaultWindow } from "./default_window.ts";

const { window, kernel, pooling } = snapkvScorer.options.shape;
const options = z.strictObject({ window, kernel, pooling });

/** Attention of the last queries times the largest value of the head; defaults as in the published experiments. */
export const lavaScorer: ScorerPlugin<typeof options> = {
  name: "lava",
  apiVersion: 1,
  description:
    "Scores a row by the attention that the last rows of the prompt pay to it, times the largest value of its head",
  ranksAgain: true,
  options,
  start: ({ budget }, { window, kernel, pooling }) => ({
    name: "observation-window",
    window: window ?? defaultWindow(32, budget),
    kernel,
    pooling,
    groupMaximum: true,
    valueNorm: "head",
  }),
};
