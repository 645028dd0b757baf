/**
 * @file The public interface of KV cache policies.
 *
 * A policy is three separable things: a scorer (how much a row of the prompt matters), an allocator (how many rows each
 * layer may keep) and a schedule (when to allot again). Scorers and allocators are plugins of their own, a schedule comes
 * with its allocator, and combine.ts makes a policy of any two. While a prompt is prefilled layer by layer, the engine
 *
 *   1. asks `provisionalRows(layer)` how many top-scored rows of the layer to gather, in descending order of score,
 *   2. collects a histogram of the layer's scores (or of each KV head's, or the scores themselves, if the policy needs them),
 *   3. after each layer for which `isRebalanceDue(layer)` holds, calls `allot(layers seen so far)` and drops each
 *      layer's, or each head's, tail down to the returned number of rows.
 *
 * A policy holds no GPU handle and no request: pure functions on plain typed arrays. The core checks every result
 * (see start_policy.ts) and falls back to uniform budgets when a policy throws or returns nonsense.
 */
import type { z } from "zod";
import type { AttentionStatistics } from "../scores/layer_record.ts";

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

/**
 * How rows are scored: the engine has one rule for each name. The last `window` rows of the prompt are not scored but always
 * kept. Scores are never negative, and the higher the better; where a published formula is, its order is kept.
 */
export type Scorer =
  | { readonly name: "none" }
  | ObservationWindow
  | ReadAhead
  | AttentionSums
  | Recency
  | KeyNorm
  | KeyDifference;

/** A scorer that tells rows apart. */
export type RankingScorer = Exclude<Scorer, { readonly name: "none" }>;

/** Attention that the last `window` queries pay to each earlier row, summed, group-meaned and pooled (SnapKV). */
export interface ObservationWindow {
  readonly name: "observation-window";
  readonly window: number;
  /** Odd width of the 1-D pooling along the sequence; 1 pools nothing. */
  readonly kernel: number;
  /** `average` counts the zero padding at the ends; `maximum` ignores it. */
  readonly pooling: "average" | "maximum";
  /** Whether all heads share the mean of their scores, and so keep the same rows. By default each ranks its own. */
  readonly sharedByHeads?: boolean;
  /**
   * Instead of the sum over the queries, their mean plus this multiple of their variance, both before the group mean (CAKE).
   * The variance is that of a sample; a single query has none.
   */
  readonly varianceWeight?: number;
  /**
   * Instead of the group mean of the sums over the queries, the group's maximum of the means over the queries (LAVa). Cannot be
   * combined with `varianceWeight`.
   */
  readonly groupMaximum?: boolean;
  /**
   * What scores are multiplied by before they are pooled: the mean absolute element of the row's value, or that of the row of
   * its head where it is largest, which makes heads comparable (LAVa). By default nothing.
   */
  readonly valueNorm?: "row" | "head";
}

/**
 * Attention that the last `window` queries pay to each earlier row, summed and group-meaned, counts for the rows that follow as
 * well, `decay` times as much with every row; so does what the queries of the best rows so found look for.
 */
export interface ReadAhead {
  readonly name: "read-ahead";
  readonly window: number;
  /** In [0, 1); 0 does not read ahead. */
  readonly decay: number;
  /** Best rows of each KV head whose queries look for others, see kernels/scoring/lookup_scores.ts; 0 for none. */
  readonly lookups: number;
}

/** Attention that all queries of the prompt pay to a row, group-meaned, divided by the prompt's length (H2O). */
export interface AttentionSums {
  readonly name: "attention-sums";
  readonly window: number;
}

/** The first `sinks` rows, then the later the better (StreamingLLM). */
export interface Recency {
  readonly name: "recency";
  readonly window: number;
  readonly sinks: number;
}

/** `1 / (1 + |key|)`: rows with short keys first. */
export interface KeyNorm {
  readonly name: "key-norm";
  readonly window: number;
}

/** `1 - cos(key, mean of the unit keys)`: rows with unusual keys first (KeyDiff). */
export interface KeyDifference {
  readonly name: "key-difference";
  readonly window: number;
}

/** What an allocator may look at, one entry per layer prefilled so far. */
export interface LayerScores {
  /** `[kvHeadCount x (promptLength - window)]` scores by bin, see scores/score_histogram.ts. Always present. */
  readonly histogram: Uint32Array;
  /** The same of each KV head; present if the policy allots `perHead`. */
  readonly headHistograms?: readonly Uint32Array[];
  /** The scores themselves, head-major; present if the policy asked for `exactScores`. */
  readonly scores?: Float32Array;
  /** How the attention of the last rows is spread; present if the policy asked for `attentionStatistics`. */
  readonly statistics?: AttentionStatistics;
  /** Ranked rows that the layer holds now: an upper limit of what it can be allotted. Those of its longest head `perHead`. */
  readonly heldRows: number;
  /** Ranked rows that each KV head holds now; present if the policy allots `perHead`. */
  readonly headRows?: Uint32Array;
}

/** How many rows each layer may keep, and when that is decided. */
export interface Allocator {
  /** Whether `allot` needs the scores themselves, at the cost of reading them back. */
  readonly exactScores: boolean;
  /**
   * Whether `allot` needs statistics of the attention that the scorer's window, or its last 64 rows, pays to the rows before.
   * Where the scorer does not look at that attention, it is computed for this.
   */
  readonly attentionStatistics?: boolean;
  /** Ranked rows to gather for every head of a layer when it has just been scored; the window comes on top. */
  provisionalRows(layer: number): number;
  /** Whether `allot` is to be called once this layer has been prefilled. The last layer always is. */
  isRebalanceDue(layer: number): boolean;
  /**
   * Ranked rows (window excluded) that each layer seen so far may keep: at most `heldRows` each, and at most
   * `(budget - window) * layerCount` in all (see `rankedBudget` in cache/budgets.ts). `perHead`, those of every KV head of
   * every layer, `[layer][kvHead]`: at most the `headRows` each, and `(budget - window) * layerCount * kvHeadCount` in all.
   */
  allot(layers: readonly LayerScores[]): Uint32Array;
}

/** A policy at work on one sequence. */
export interface SequencePolicy extends Allocator {
  readonly scorer: Scorer;
  /** Whether `allot` returns the rows of every KV head, and is given histograms of each. */
  readonly perHead?: boolean;
}

/** What all plugins have. */
export interface Plugin<Options extends z.ZodObject = z.ZodObject> {
  /** How requests and flags name it. */
  readonly name: string;
  readonly apiVersion: 1;
  /** One sentence for people. */
  readonly description: string;
  /** Options with their defaults; validated before `start` sees them. */
  readonly options: Options;
}

/** A scorer plugin. */
export interface ScorerPlugin<Options extends z.ZodObject = z.ZodObject> extends Plugin<Options> {
  /**
   * Whether it can score rows that were ranked before, and so lie in order of rank instead of position: then it can evict while
   * tokens are generated.
   */
  readonly ranksAgain: boolean;
  /** How the rows of a sequence are scored. */
  start(context: PolicyContext, options: z.infer<Options>): RankingScorer;
}

/** The shape of the model, of one prompt, and of what is to be shared. */
export interface AllocatorContext extends PolicyContext {
  /** Mean ranked rows per layer, without the window. */
  readonly base: number;
  /** Rows of the prompt before the window; more than `base`. */
  readonly scoredRows: number;
}

/** An allocator plugin. */
export interface AllocatorPlugin<Options extends z.ZodObject = z.ZodObject> extends Plugin<Options> {
  /**
   * Whether `allot` returns the rows of every KV head, and is given histograms of each. Such budgets hold for prompts: rows cannot
   * be evicted while tokens are generated.
   */
  readonly perHead?: boolean;
  /** The allocator at work on one sequence. */
  start(context: AllocatorContext, options: z.infer<Options>): Allocator;
}

/** A policy plugin. */
export interface Policy extends Plugin {
  /** Names of the plugins that it combines, if it does. */
  readonly scorer?: string;
  readonly allocator?: string;
  /** Whether it can evict while tokens are generated: see {@link ScorerPlugin.ranksAgain}. */
  readonly ranksAgain?: boolean;
  /** Starts the policy on a sequence, or returns `null` where every row is to be kept (say, a prompt within the budget). */
  start(context: PolicyContext, options: Readonly<Record<string, unknown>>): SequencePolicy | null;
}
