/** @file Engines over tiny models: requests in, everything that was reported out. */
import { type EngineClient, type EngineWorkerOptions, startEngineWorker } from "../../src/engine/client.ts";
import type {
  GeneratedToken,
  Generation,
  GenerationEvent,
  GenerationRequest,
  KvCacheUsage,
} from "../../src/contract/generation.ts";
import { GREEDY } from "../../src/contract/sampling.ts";
import { registry } from "./policies.ts";
import { withFile } from "./files.ts";
import { openModel } from "../../src/formats/open.ts";
import { packVocabulary } from "../../src/text/grammar/packed_vocabulary.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { randomInteger } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";

/** A greedy request that keeps every row and stops at no token, with these changes. */
export function request(prompt: ArrayLike<number>, changes: Partial<GenerationRequest> = {}): GenerationRequest {
  return {
    prompt: Uint32Array.from(prompt),
    maxTokens: 8,
    stopTokens: [],
    sampling: GREEDY,
    kvCache: { policy: "full", budget: 1 },
    ...changes,
  };
}

/** `length` tokens that every vocabulary of tiny_model.ts has. */
export function randomPrompt(random: () => number, length: number): number[] {
  return Array.from({ length }, () => randomInteger(random, 3, 285));
}

/** What must be alike on both engines is tested with each of them: by its name, what starts it. */
export const ENGINES: Readonly<Record<string, { readonly thread?: URL; readonly threads?: number }>> = {
  "the GPU engine": {},
  "the CPU engine": { thread: new URL("../../src/cpu/worker.ts", import.meta.url), threads: 1 },
};

/** What a generation reported. */
export interface Outcome {
  readonly ids: number[];
  readonly tokens: GeneratedToken[];
  readonly kvCache: KvCacheUsage | undefined;
  /** Tokens of the prompt that came from the prefix cache. */
  readonly cachedTokens: number | undefined;
  readonly last: GenerationEvent;
  /** Types of all events, in order. */
  readonly types: GenerationEvent["type"][];
}

/** Sums events up. */
export function outcomeOf(events: readonly GenerationEvent[]): Outcome {
  const prefilled = events.find((event) => event.type === "prefilled");
  const tokens = events.flatMap((event) => event.type === "tokens" ? event.tokens : []);
  return {
    ids: tokens.map(({ id }) => id),
    tokens,
    kvCache: prefilled?.kvCache,
    cachedTokens: prefilled?.cachedTokens,
    last: events.at(-1)!,
    types: events.map(({ type }) => type),
  };
}

/** Reads a generation to its end. */
export async function collect(generation: Generation): Promise<Outcome> {
  const events: GenerationEvent[] = [];
  for await (const event of generation.events) events.push(event);
  return outcomeOf(events);
}

/** The engine options of tests; f32, so that results do not hang on the rounding of the cache. */
export const TEST_ENGINE = {
  kvType: "f32",
  maxBatch: 4,
  maxQueue: 256,
  kvMemory: 8 * 2 ** 20,
  defaultKvCache: { policy: "full", budget: 1 },
  policies: registry,
} as const satisfies Partial<Parameters<typeof startEngineWorker>[0]>;

/** Starts a real engine, worker and all, over a tiny model. */
export function startTestEngine(
  model: TinyModelOptions,
  options: Partial<EngineWorkerOptions & { thread: URL; maxQueue: number; log: (message: string) => void }> = {},
): Promise<EngineClient> {
  return withFile(tinyGguf(model), async (path) => {
    const file = await openModel(path);
    const tokenizer = await loadTokenizer(file);
    file.close();
    const vocabulary = () => packVocabulary(tokenizer);
    return await startEngineWorker({ model: path, ...TEST_ENGINE, vocabulary, ...options });
  });
}

/** Waits until a condition holds, for at most 20 seconds. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = performance.now() + 20_000; !await condition();) {
    if (performance.now() > deadline) throw new Error(`Waited 20 seconds for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
