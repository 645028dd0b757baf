/** @file What a request asks of its KV cache that does not count, or does not help, said rather than ignored. */
import { BLOCK_ROWS } from "../../cache/block.ts";
import type { GenerationRequest, KvCacheUsage } from "../../contract/generation.ts";

/**
 * Sentences for people; none where all counts.
 *
 * @param cache what the prompt's cache came to; null as long as nobody knows
 */
export function kvCacheNotes(
  { prompt, kvCache: { idle = [], options } }: Pick<GenerationRequest, "prompt" | "kvCache">,
  cache: Pick<KvCacheUsage, "bytes" | "fullBytes"> | null,
): readonly string[] {
  const notes = [...idle];
  const window = options?.window;
  if (typeof window === "number" && window >= prompt.length) {
    notes.push(
      `The window of ${window} rows, which are always kept, is no smaller than the prompt of ${prompt.length}: nothing was dropped`,
    );
  }
  if (cache !== null && cache.bytes > cache.fullBytes) {
    notes.push(
      `What is kept takes more memory than the whole prompt of ${prompt.length} rows would: memory is given out in blocks of ` +
        `${BLOCK_ROWS} rows, and a budget is for prompts of hundreds`,
    );
  }
  return notes;
}
