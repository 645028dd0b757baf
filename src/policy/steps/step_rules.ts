/** @file What the host must know of a step of a score, whatever device computes it. */
import type { LayerContext, PolicyContext } from "../context.ts";

/** What a score needs while a prompt is read, so that it can be computed when a layer is done. */
export interface ScoreNeeds {
  /** Queries of the last rows, as many as the window has but no more than `MAX_WINDOW`. */
  readonly windowQueries: boolean;
  /** The attention of every row, summed tile by tile. It goes on while tokens are generated. */
  readonly attentionSums: boolean;
  /** The queries of every row of the layer. */
  readonly layerQueries: boolean;
  /** Scores of chunks (scores/rehearsal.ts), or the queries of those whose scores are not known. */
  readonly chunkScores: boolean;
}

/** Whether the queries of all rows of a prompt are needed: then each has to pass every layer, whatever is cached of it. */
export function needsAllQueries({ attentionSums, layerQueries }: ScoreNeeds): boolean {
  return attentionSums || layerQueries;
}

/** Whether the queries of the rows that pass a layer must be there when it is done. */
export function keepsQueries({ layerQueries, chunkScores }: ScoreNeeds): boolean {
  return layerQueries || chunkScores;
}

/** What the queries of all rows of a prompt are like, before they are rotated to their positions. */
export interface QueryStatistics {
  /** `[queryHead][headSize]` */
  readonly mean: Float32Array;
  /** Of each rotary pair: `[queryHead][headSize / 2]`. */
  readonly meanMagnitude: Float32Array;
}

/** What a step can be told on the host of a layer that has been read. */
export interface HostInputs {
  /** `[kvHead][row][headSize]` of all rows of the prompt; keys are rotated. */
  readonly keys?: Float32Array;
  readonly values?: Float32Array;
  /** `[kvHead][row]` of the rows before the window: what the window's rows pay to them, as `attention()` sums it. */
  readonly attention?: Float32Array;
  readonly queryStatistics?: QueryStatistics;
}

export type HostInput = keyof HostInputs;

/** What a step has computed on the host before its scores are recorded. */
export interface HostPart<Step> {
  inputs(step: Step): readonly HostInput[];
  /** Numbers for the device, once for each layer. @throws {Error} what the plugin throws, or if it returns nonsense */
  compute(step: Step, inputs: HostInputs, context: LayerContext): Float32Array<ArrayBuffer>;
}

/** A step, as far as other steps know it. */
export interface AnyStep {
  readonly name: string;
}

/** The pure half of a step. */
export interface StepRules<Step> {
  /** `source`: gives scores; it comes first. `modifier`: changes the scores of the steps before it. */
  readonly role: "source" | "modifier";
  /**
   * What becomes of the step where rows are ranked again while tokens are generated, and lie in order of rank instead of
   * position: it works as before, it is left out, or the whole score cannot be used.
   */
  readonly rankingAgain: RankingAgain | ((step: Step) => RankingAgain);
  /** What takes the step's place there, where rows that are neighbours no longer are. */
  inOrderOfRank?(step: Step): Step;
  /** Of a source for which that is impossible: what ranks generated rows in its place. */
  otherwiseGenerated?(step: Step): AnyStep;
  /** Whether no step may follow. */
  readonly isLast?: true;
  /** Of a modifier: whether it takes scores that can be negative; not if not given. */
  takesNegative?(step: Step): boolean;
  /** Whether its scores can be negative, from whether those `given` to it can; the same if not given. */
  givesNegative?(step: Step, given: boolean): boolean;
  /** Another score that is part of it. */
  nested?(step: Step): readonly AnyStep[];
  withNested?(step: Step, score: readonly AnyStep[]): Step;
  /** @throws {RangeError} naming the parameter, its value and what was expected */
  check(step: Step, context: PolicyContext): void;
  /**
   * Whether its scores are shares of the attention: of a source, that rows are paid; of a modifier, at most smoothed. Only of such scores
   * can a budget keep a share.
   */
  isAttention?(step: Step): boolean;
  /** What it needs beside the keys and values of the layer. */
  needs?(step: Step): Partial<ScoreNeeds>;
  readonly host?: HostPart<Step>;
}

type RankingAgain = "works" | "left out" | "impossible";

/** @throws {RangeError} if a source's window leaves nothing to score, or has more rows than `most` */
export function checkWindow(window: number, { promptLength }: PolicyContext, most = Infinity): void {
  const end = Math.min(promptLength - 1, most);
  if (!Number.isInteger(window) || window < 1 || window > end) {
    throw new RangeError(`The score's window must be a whole number from 1 to ${end}, but is ${window}`);
  }
}

/** @throws {RangeError} unless the value is in `[0, 1)` */
export function checkDecay(decay: number): void {
  if (!(decay >= 0 && decay < 1)) {
    throw new RangeError(`The score's decay must be a number from 0 to less than 1, but is ${decay}`);
  }
}
