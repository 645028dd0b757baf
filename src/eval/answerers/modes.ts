/** @file When a cache is compressed, and how much is asked of it. */

export const MODES = ["query-aware", "query-agnostic", "two-turn", "decoding", "long-answer"] as const;

/**
 * - `query-aware`: the prompt ends with the question, and is compressed as a whole, as in the papers.
 * - `query-agnostic`: the prompt is compressed before the question, which is fed to what is left of it.
 * - `two-turn`: a first question is part of the prompt; once it is answered, a second one is fed to the same cache.
 * - `decoding`: all but the beginning of the prompt is fed as if it had been generated, and rows are evicted meanwhile.
 * - `long-answer`: other text is fed as if the answer began with it, and its rows are evicted meanwhile; the prompt's stay.
 */
export type Mode = typeof MODES[number];
/** Those that evict while tokens are fed as if they had been generated. */
export type DecodingMode = Extract<Mode, "decoding" | "long-answer">;
