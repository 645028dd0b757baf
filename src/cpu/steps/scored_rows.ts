/** @file What a scoring step may look at on the CPU: the rows of one layer of one sequence, and who asks for them. */

import type { LayerContext } from "../../policy/context.ts";
import type { Step } from "../../policy/steps.ts";
import type { RehearsalChunk } from "../../scores/rehearsal.ts";

/** Scores of each KV head, `[scored]`: never negative, the higher the better. */
export type Scores = readonly Float32Array[];

/** Scores of a layer of a prompt that hang on chunks of its rows alone, and can be kept from one prompt to the next that begins alike. */
export interface KnownScores {
  /** Rows whose scores are known: whole chunks. */
  readonly rows: number;
  /** Writes the scores of those of a KV head, as far as there is room for them. */
  restore(head: number, scores: Float32Array): void;
  /** Keeps the scores of whole chunks that were not known, as far as there is room. */
  store(scores: Scores): void;
}

/** The rows of a layer that are to be scored: all but the last ones, which are kept anyway. */
export interface ScoredRows {
  /** Counted from 0. */
  readonly layer: number;
  readonly kvHeadCount: number;
  /** Where steps of the score have something computed. */
  readonly host: HostNumbers | null;
  /** Query heads of each KV head. */
  readonly group: number;
  readonly headSize: number;
  /** Rows, and how many of them, from the first on, get a score. */
  readonly length: number;
  readonly scored: number;
  /** Keys of a KV head, rotated, `[length, headSize]`. */
  keys(head: number): Float32Array;
  /** Values of a KV head, `[length, headSize]`. */
  values(head: number): Float32Array;
  /** Queries that can be asked at most: those of the last rows. */
  readonly queries: number;
  /** What the last `window` queries pay to each row, `[query head of the group][window][length]`. */
  attention(head: number, window: number): Float32Array;
  /** What all queries so far paid to each row, group-meaned, divided by their number, `[length]`. */
  attentionOfAll(head: number): Float32Array;
  /**
   * What the queries of some rows pay to the scored rows that are not among the hidden ones,
   * `[query head of the group][row asked][scored]`.
   */
  lookUp(head: number, rows: ArrayLike<number>, isHidden: (row: number) => boolean): Float32Array;
  /**
   * What the queries of some rows of the prompt pay to the same rows, all of which each sees, from logits that are not divided by the root
   * of the head size: `[query head of the group][count][count]`.
   */
  attentionWithin(head: number, first: number, count: number): Float32Array;
  /**
   * The most that each row of a chunk is paid by any of the chunk's own queries that are asked again behind it, `[count]` by KV head: see
   * kernels/scoring/rehearsal_scores.ts.
   */
  rehearsed(chunk: RehearsalChunk): Float32Array[];
  /** Scores of the layer by chunks, as far as they are cached or to be; `null` where nothing is. */
  readonly knownScores: KnownScores | null;
  /** Keys of a KV head before they were rotated, `[length, headSize]`. */
  plainKeys(head: number): Float32Array;
}

/** What a plugin's TypeScript has computed of a layer. */
export interface HostNumbers {
  readonly numbers: ReadonlyMap<Step, Float32Array>;
  readonly context: LayerContext;
}

/**
 * The CPU half of a step.
 *
 * @param scores of the steps before it; none where it is the source
 */
export type CpuStep<Step> = (rows: ScoredRows, step: Step, scores: Scores) => Scores;

/** Scores that are all zero. */
export function blankScores({ kvHeadCount, scored }: ScoredRows): Float32Array[] {
  return Array.from({ length: kvHeadCount }, () => new Float32Array(scored));
}
