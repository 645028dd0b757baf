/** @file What a request asks of its KV cache that does not count, said rather than ignored. */
import type { GenerationRequest } from "../../contract/generation.ts";

/** Sentences for people; none where all counts. */
export function kvCacheNotes(
  { prompt, kvCache: { idle = [], options } }: Pick<GenerationRequest, "prompt" | "kvCache">,
): readonly string[] {
  const window = options?.window;
  if (typeof window !== "number" || window < prompt.length) return idle;
  return [
    ...idle,
    `The window of ${window} rows, which are always kept, is no smaller than the prompt of ${prompt.length}: nothing was dropped`,
  ];
}
