/** @file `usage` in the chunks of a stream, as `stream_options` asks for it. */
import type { StreamOptions } from "../requests/shared_fields.ts";

/** What a chunk says beside its choices: nothing, that it does not tell, or what its choice has come to. */
export interface ChunkUsage {
  readonly usage?: {
    /** Of the choice's prompt. */
    readonly prompt_tokens: number;
    /** Of the choice up to this chunk, those that are not shown among them. */
    readonly completion_tokens: number;
    readonly total_tokens: number;
  } | null;
}

/**
 * What is said in every chunk but the last, which `include_usage` adds. As in vLLM, `continuous_usage_stats` counts only beside it.
 *
 * @param promptLength the tokens of a choice's prompt
 */
export function chunkUsage(
  options: StreamOptions,
  promptLength: (index: number) => number,
): (index: number, completionTokens: number) => ChunkUsage {
  if (!options?.include_usage) return () => ({});
  if (!options.continuous_usage_stats) return () => ({ usage: null });
  return (index, completionTokens) => {
    const promptTokens = promptLength(index);
    return {
      usage: {
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens,
        total_tokens: promptTokens + completionTokens,
      },
    };
  };
}
