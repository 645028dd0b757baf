/** @file Asks a model something and waits for all of the answer. */
import type { KvCacheChoice, KvCacheUsage } from "../../contract/generation.ts";
import { GREEDY } from "../../contract/sampling.ts";
import type { RunningEngine } from "../../serving/start_engine.ts";

/** What is needed of an engine to ask it. */
export type Askable = Pick<RunningEngine, "engine" | "text">;

/** An answer and what its cache came to. */
export interface Reply {
  /** As it follows the prompt: it may begin with a space. */
  readonly text: string;
  /** Token ids, with the one that ended the answer where it was reported. */
  readonly tokens: readonly number[];
  readonly kvCache: KvCacheUsage;
}

/**
 * The greedy answer to a prompt.
 *
 * @param prompt token ids
 * @throws {Error} if the engine refuses or fails
 */
export async function ask(
  { engine, text: { tokenizer } }: Askable,
  prompt: Uint32Array,
  maxTokens: number,
  kvCache: KvCacheChoice = engine.defaultKvCache,
): Promise<Reply> {
  const stopTokens = tokenizer.endTokens;
  const tokens: number[] = [];
  let usage: KvCacheUsage | undefined;
  const { events } = engine.generate({ prompt, maxTokens, stopTokens, sampling: GREEDY, kvCache });
  for await (const event of events) {
    if (event.type === "failed") throw new Error(`The generation failed: ${event.message}`);
    if (event.type === "prefilled") usage = event.kvCache;
    if (event.type === "tokens") tokens.push(...event.tokens.map(({ id }) => id));
  }
  if (usage === undefined) throw new Error("The generation ended before its prompt was read");
  const text = tokenizer.decode(tokens.filter((id) => !stopTokens.includes(id)), { continuation: true });
  return { text, tokens, kvCache: usage };
}
