/** @file Scores that hang on the rows of a chunk of the prompt alone. */
import type { ScoredRows } from "./scored_rows.ts";

/**
 * Scores of every KV head, `[scored]`, of which those before the window are taken.
 *
 * @param chunk rows of all chunks but the last, which may have fewer
 * @param scoresOf scores `[count]` of rows `first` to `first + count` of a KV head
 */
export function byChunk(
  { kvHeadCount, length, scored }: ScoredRows,
  chunk: number,
  scoresOf: (head: number, first: number, count: number) => Float32Array | Float64Array,
): Float32Array[] {
  return Array.from({ length: kvHeadCount }, (_, head) => {
    const scores = new Float32Array(scored);
    for (let first = 0; first < scored; first += chunk) {
      scores.set(scoresOf(head, first, Math.min(chunk, length - first)).subarray(0, scored - first), first);
    }
    return scores;
  });
}
