/** @file One question to a model, whatever suite it comes from. */

/**
 * A prompt in three parts, and what is right. The prompt is `context + question + answerPrefix`; a query-agnostic run
 * compresses the cache after the context, a query-aware one after the question.
 */
export interface Sample {
  readonly task: string;
  /** From 0 within the task. */
  readonly index: number;
  /** What the question is about, with the instructions before it. */
  readonly context: string;
  /** What is asked, and all else after the context. */
  readonly question: string;
  /** How the answer begins, so that the model only has to go on; empty where the task has none. */
  readonly answerPrefix: string;
  readonly answers: readonly string[];
  readonly maxNewTokens: number;
}

/** Makes the number of tokens of a text out of it, as the model under test counts them. */
export type CountTokens = (text: string) => number;

export function promptOf({ context, question, answerPrefix }: Sample): string {
  return context + question + answerPrefix;
}
