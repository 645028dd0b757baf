/**
 * @file What a KV cache policy is.
 *
 * A policy is two separable things: a scorer (how much a row of the prompt matters) and an allocator (how many rows each layer,
 * or each of its KV heads, may keep, and how often that is decided anew). Any two of them combine. While a prompt is read layer
 * by layer, the engine
 *
 *   1. scores the rows of the layer as the scorer's list of steps says (see steps.ts),
 *   2. gathers `provisionalRows` of the layer, in descending order of score,
 *   3. collects a histogram of the layer's scores (or of each KV head's, or the scores themselves, if the allocator needs them),
 *   4. after every `interval` layers, and after the last one, calls `allot(layers seen so far)` and drops each layer's, or each
 *      head's, tail down to the returned number of rows.
 *
 * A policy holds no GPU handle and no request: plain data, and pure functions on plain typed arrays. The core checks every
 * result (see fence.ts) and falls back to uniform budgets where a policy throws or returns nonsense.
 */
import type { z } from "zod";
import type { AttentionStatistics } from "../scores/layer_record.ts";
import type { LayerContext, PolicyContext } from "./context.ts";
import type { HostStep, Score } from "./steps.ts";
import type { HostInputs, ScoreNeeds } from "./steps/step_rules.ts";

/** The shape of the model, of one prompt, and of what is to be shared. */
export interface AllocatorContext extends PolicyContext {
  /** Mean ranked rows per layer, without the window. */
  readonly base: number;
  /** Rows of the prompt before the window; more than `base`. */
  readonly scoredRows: number;
}

/** What an allocator may look at, one entry per layer prefilled so far. */
export interface LayerScores {
  /** `[kvHeadCount x scoredRows]` scores by bin, see scores/score_histogram.ts. Always present. */
  readonly histogram: Uint32Array;
  /** The same of each KV head; present if the allocator allots `perHead`. */
  readonly headHistograms?: readonly Uint32Array[];
  /** The scores themselves, head-major; present if the allocator asked for `exactScores`. */
  readonly scores?: Float32Array;
  /** How the attention of the last rows is spread; present if the allocator asked for `attentionStatistics`. */
  readonly statistics?: AttentionStatistics;
  /** Ranked rows that the layer holds now: an upper limit of what it can be allotted. Those of its longest head `perHead`. */
  readonly heldRows: number;
  /** Ranked rows that each KV head holds now; present if the allocator allots `perHead`. */
  readonly headRows?: Uint32Array;
}

/** When an allocator is asked, what it is told, and what a layer holds until then. Plain data. */
export interface Schedule {
  /** Ranked rows to gather for every head of a layer when it has just been scored; the window comes on top. Of all, or of each layer. */
  readonly provisionalRows: number | readonly number[];
  /** Layers between two sharings of the budget. After the last layer it is always shared. */
  readonly interval: number;
  /** Whether `allot` needs the scores themselves, at the cost of reading them back. */
  readonly exactScores?: boolean;
  /**
   * Whether `allot` needs statistics of the attention that the window, or its last 64 rows, pays to the rows before. Where the
   * score does not look at that attention, it is computed for this.
   */
  readonly attentionStatistics?: boolean;
}

/** What all plugins have. */
export interface Plugin<Options extends z.ZodObject = z.ZodObject> {
  /** How requests and flags name it. */
  readonly name: string;
  /** One sentence for people. */
  readonly description: string;
  /** Options with their defaults; validated before any function of the plugin sees them. */
  readonly options: Options;
}

/** A scorer. */
export interface Scorer<Options extends z.ZodObject = z.ZodObject> extends Plugin<Options> {
  readonly kind: "scorer";
  /** How the rows of a prompt are scored; `null` keeps them all. */
  score(context: PolicyContext, options: z.infer<Options>): Score | null;
}

/** An allocator. */
export interface Allocator<Options extends z.ZodObject = z.ZodObject> extends Plugin<Options> {
  readonly kind: "allocator";
  /**
   * Whether `allot` returns the rows of every KV head, and is given histograms of each. Such budgets hold for prompts: generated rows
   * are shared evenly, and those of a prompt cannot be evicted while tokens are generated.
   */
  readonly perHead: boolean;
  /** When `allot` is called for a prompt, and with what. */
  schedule(context: AllocatorContext, options: z.infer<Options>): Schedule;
  /**
   * Ranked rows (window excluded) that each layer seen so far may keep: at most `heldRows` each, and at most `base * layerCount` in
   * all, which can be asked for with a smaller `base` and budget than the schedule was made for. `perHead`, those of every KV head of every layer, `[layer][kvHead]`: at most the `headRows` each, and
   * `base * layerCount * kvHeadCount` in all.
   */
  allot(layers: readonly LayerScores[], context: AllocatorContext, options: z.infer<Options>): ArrayLike<number>;
}

/** What a policy is made of, for whoever makes it anew: with halves that were found by their names, or are guarded. */
export interface PolicyRecipe {
  readonly name: string;
  readonly description: string;
  /** The halves themselves, or their names. */
  readonly scorer: Scorer | string;
  readonly allocator: Allocator | string;
  /** Options whose default differs from the halves' own. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Whether the score belongs to this policy alone, so that no other can be combined with it. */
  readonly ownScore: boolean;
}

/** A policy. */
export interface Policy extends Plugin {
  readonly kind: "policy";
  readonly recipe: PolicyRecipe;
  /** The halves that it combines and that others can be combined with, if it has such. */
  readonly scorer?: Scorer;
  readonly allocator?: Allocator;
  /**
   * Whether it can, by default, rank all rows of a sequence again while tokens are generated: its allocator and all steps of its score
   * allow that.
   */
  readonly ranksAgain: boolean;
  /** Whether it can, by default, rank the generated rows by themselves. */
  readonly ranksGenerated: boolean;
  /** Whether it, by default, ever drops a row. */
  readonly compresses: boolean;
  /** Whether its scores are, by default, shares of the attention. */
  readonly scoresAttention: boolean;
  /** Starts the policy on a sequence, or returns `null` where every row is to be kept (say, a prompt within the budget). */
  start(context: PolicyContext, options: Readonly<Record<string, unknown>>): StartedPolicy | null;
}

/** A policy at work on one sequence, as it came from the plugin. */
export interface StartedPolicy {
  readonly score: Score;
  readonly exactScores: boolean;
  readonly attentionStatistics: boolean;
  readonly perHead: boolean;
  /** Ranked rows to gather for every head of a layer when it has just been scored. */
  provisionalRows(layer: number): number;
  /** Whether `allot` is to be called once this layer has been prefilled. The last layer always is. */
  isRebalanceDue(layer: number): boolean;
  /**
   * See {@link Allocator.allot}.
   *
   * @param base mean ranked rows per layer to share, where that is less than what the schedule was made for
   */
  allot(layers: readonly LayerScores[], base?: number): ArrayLike<number>;
}

/** The same behind the fence: its numbers can be used as they are. */
export interface SequencePolicy extends StartedPolicy {
  /** Another one once the host's part of the policy's own has failed. */
  readonly score: Score;
  /** Last rows of the prompt, which are always kept. */
  readonly window: number;
  readonly needs: ScoreNeeds;
  /** Steps of the score that have something computed on the host for every layer, before it is recorded. */
  readonly hostSteps: readonly HostStep[];
  /** Whether its score has a kernel of a plugin's own. */
  readonly hasKernel: boolean;
  /** Whether it has failed: it is asked no more. */
  readonly hasFailed: boolean;
  /** Has it computed; `null` once that has failed, from when on the score has no such steps. */
  computeOnHost(step: HostStep, inputs: HostInputs, context: LayerContext): Float32Array<ArrayBuffer> | null;
  /** What a budget by mass came to: mean rows per layer, and the share that they keep. `null` before the last sharing. */
  readonly found: { readonly rows: number; readonly kept: number } | null;
  allot(layers: readonly LayerScores[]): Uint32Array;
}
