/** @file How long a comparison will take, before anything is known but how fast a short prompt is read. */

/** Tokens of the prompt that is read to find out. */
export const PROBE_TOKENS = 256;

/**
 * Each cache of a question is compressed, answered and fed the full cache's answer: on two CPU cores with the small model that
 * came to one to two times what reading the prompt takes, for each of 1, 2 and 16 caches.
 */
const PROMPTS_PER_CACHE = 1.5;

/** What is to be asked. */
export interface Extent {
  /** One for each question and cache. */
  readonly answers: number;
  /** Of a prompt, on average. */
  readonly promptTokens: number;
}

/** @param probeSeconds how long {@linkcode PROBE_TOKENS} took @returns seconds, right to a factor of two or so */
export function estimateSeconds({ answers, promptTokens }: Extent, probeSeconds: number): number {
  return answers * PROMPTS_PER_CACHE * probeSeconds * promptTokens / PROBE_TOKENS;
}
