/** @file What the host must know of a step of a score, whatever device computes it. */
import type { PolicyContext } from "../context.ts";

/** What a score needs while a prompt is read, so that it can be computed when a layer is done. */
export interface ScoreNeeds {
  /** Queries of the last rows, as many as the window has but no more than `MAX_WINDOW`. */
  readonly windowQueries: boolean;
  /** The attention of every row, summed tile by tile. It goes on while tokens are generated. */
  readonly attentionSums: boolean;
  /** The queries of every row of the layer. */
  readonly layerQueries: boolean;
}

/** Whether the queries of all rows of a prompt are needed: then each has to pass every layer, whatever is cached of it. */
export function needsAllQueries({ attentionSums, layerQueries }: ScoreNeeds): boolean {
  return attentionSums || layerQueries;
}

/** The pure half of a step. */
export interface StepRules<Step> {
  /** `source`: gives scores; it comes first. `modifier`: changes the scores of the steps before it. */
  readonly role: "source" | "modifier";
  /**
   * What becomes of the step where rows are ranked again while tokens are generated, and lie in order of rank instead of
   * position: it works as before, it is left out, or the whole score cannot be used.
   */
  readonly rankingAgain: "works" | "left out" | "impossible";
  /** @throws {RangeError} naming the parameter, its value and what was expected */
  check(step: Step, context: PolicyContext): void;
  /** What it needs beside the keys and values of the layer. */
  needs?(step: Step): Partial<ScoreNeeds>;
}

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
