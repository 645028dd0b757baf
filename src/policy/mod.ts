/**
 * @file All that a policy plugin imports, `"ebb/policy"` in a file of yours: how plugins are defined, the steps that a score is
 * made of, and arithmetic for budgets. The built-in policies (`src/plugins/`) are written with this alone.
 */
export { z } from "zod";
export { defineAllocator, definePolicy, defineScorer } from "./define.ts";
export type { AllocatorDefinition, Combination, OwnScore, ScorerDefinition } from "./define.ts";
export type { LayerContext, PolicyContext, Rotary } from "./context.ts";
export type { Allocator, AllocatorContext, LayerScores, Policy, Schedule, Scorer } from "./policy.ts";
export { defaultWindow } from "./default_window.ts";
export { uniformAllocator } from "./uniform.ts";

export type { Modifier, Score, Source, Step } from "./steps.ts";
export { attention } from "./steps/attention.ts";
export { attentionOfAll } from "./steps/attention_of_all.ts";
export { chunkAttention } from "./steps/chunk_attention.ts";
export { clamp } from "./steps/clamp.ts";
export { floorAtMean } from "./steps/floor_at_mean.ts";
export { keyDifference } from "./steps/key_difference.ts";
export { keyNorm } from "./steps/key_norm.ts";
export { leverage } from "./steps/leverage.ts";
export { linear } from "./steps/linear.ts";
export type { Coefficients } from "./steps/linear.ts";
export { lookUp } from "./steps/look_up.ts";
export { normalise } from "./steps/normalise.ts";
export { onHost } from "./steps/on_host.ts";
export type { HostRows } from "./steps/on_host.ts";
export { plus } from "./steps/plus.ts";
export { pool } from "./steps/pool.ts";
export { positive } from "./steps/positive.ts";
export { protect } from "./steps/protect.ts";
export { protectLoudValues } from "./steps/protect_loud_values.ts";
export { random } from "./steps/random.ts";
export { readAhead } from "./steps/read_ahead.ts";
export { recency } from "./steps/recency.ts";
export { rehearsal } from "./steps/rehearsal.ts";
export { sharedByHeads } from "./steps/shared_by_heads.ts";
export type { QueryStatistics } from "./steps/step_rules.ts";
export { threshold } from "./steps/threshold.ts";
export { times } from "./steps/times.ts";
export { valueNorm } from "./steps/value_norm.ts";
export { wgsl } from "./steps/wgsl.ts";
export { meanRotated } from "./rotary.ts";

export { BLOCK_ROWS } from "../cache/block.ts";
export { proportionalRows, rankedBudget, shareRows } from "../cache/budgets.ts";
export { exactTopCounts } from "../scores/exact_top_counts.ts";
export { heldTopCounts } from "../scores/held_top_counts.ts";
export { histogramEntropy, scoreDepth } from "../scores/score_histogram.ts";
export { topCounts } from "../scores/top_counts.ts";
export type { MessageRange, PromptRange } from "../contract/generation.ts";
export type { AttentionStatistics } from "../scores/layer_record.ts";
