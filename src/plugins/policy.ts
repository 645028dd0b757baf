/**
 * @file The public interface of KV cache policies.
 *
 * A policy is three separable things: a scorer (how much a row of the prompt matters), an allocator (how many rows each
 * layer may keep) and a schedule (when to allot again). While a prompt is prefilled layer by layer, the engine
 *
 *   1. asks `provisionalRows(layer)` how many top-scored rows of the layer to gather, in descending order of score,
 *   2. collects a histogram of the layer's scores (or the scores themselves, if the policy needs them exactly),
 *   3. after each layer for which `isRebalanceDue(layer)` holds, calls `allot(layers seen so far)` and drops each
 *      layer's tail down to the returned number of rows.
 *
 * A policy holds no GPU handle and no request: pure functions on plain typed arrays. The core checks every result
 * (see start_policy.ts) and falls back to uniform budgets when a policy throws or returns nonsense.
 */
import type { z } from "zod";

/** The shape of the model and of one prompt. */
export interface PolicyContext {
  readonly layerCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number;
  /** Rows of a cache block. */
  readonly blockSize: number;
  /** Tokens of the prompt. */
  readonly promptLength: number;
  /** Mean rows per layer, observation window included. */
  readonly budget: number;
}

/** How rows are scored. `none` scores nothing: every row is kept. */
export type Scorer =
  | { readonly name: "none" }
  | {
    /** Attention that the last `window` queries pay to each earlier row, summed, group-meaned and pooled (SnapKV). */
    readonly name: "observation-window";
    readonly window: number;
    /** Odd width of the 1-D pooling along the sequence; 1 pools nothing. */
    readonly kernel: number;
    /** `average` counts the zero padding at the ends; `maximum` ignores it. */
    readonly pooling: "average" | "maximum";
  };

/** What an allocator may look at, one entry per layer prefilled so far. */
export interface LayerScores {
  /** `[kvHeadCount x (promptLength - window)]` scores by bin, see cache/score_histogram.ts. Always present. */
  readonly histogram: Uint32Array;
  /** The scores themselves, head-major; present if the policy asked for `exactScores`. */
  readonly scores?: Float32Array;
  /** Ranked rows that the layer holds now: an upper limit of what it can be allotted. */
  readonly heldRows: number;
}

/** A policy at work on one sequence. */
export interface SequencePolicy {
  readonly scorer: Scorer;
  /** Whether `allot` needs the scores themselves, at the cost of reading them back. */
  readonly exactScores: boolean;
  /** Ranked rows to gather for a layer when it has just been scored; the window comes on top. */
  provisionalRows(layer: number): number;
  /** Whether `allot` is to be called once this layer has been prefilled. The last layer always is. */
  isRebalanceDue(layer: number): boolean;
  /**
   * Ranked rows (window excluded) that each layer seen so far may keep: at most `heldRows` each, and at most
   * `(budget - window) * layerCount` in all (see `rankedBudget` in cache/budgets.ts).
   */
  allot(layers: readonly LayerScores[]): Uint32Array;
}

/** A policy plugin. */
export interface Policy {
  /** How requests and flags name it. */
  readonly name: string;
  readonly apiVersion: 1;
  /** One sentence for people. */
  readonly description: string;
  /** Options with their defaults; validated before `start` sees them. */
  readonly options: z.ZodObject;
  /** Starts the policy on a sequence, or returns `null` where every row is to be kept (say, a prompt within the budget). */
  start(context: PolicyContext, options: Readonly<Record<string, unknown>>): SequencePolicy | null;
}
