/** @file What the stages that go through the engine share: starting it, prompts, and following a stream's tokens. */
import type { Generation, GenerationRequest, KvCacheChoice, KvCacheUsage } from "../../src/contract/generation.ts";
import { GREEDY } from "../../src/contract/sampling.ts";
import { type EngineClient, type EngineWorkerOptions, startEngineWorker } from "../../src/engine/client.ts";
import { builtInPolicies } from "../../src/serving/policies.ts";
import type { StageTask } from "./stage.ts";

export const FULL: KvCacheChoice = { policy: "full", budget: "100%" };

/** Random weights know no end: nothing stops a stream but its length. */
export function requestOf(
  prompt: Uint32Array,
  maxTokens: number,
  kvCache: KvCacheChoice = FULL,
  resumableTokens?: number,
): GenerationRequest {
  return { prompt, maxTokens, stopTokens: [], sampling: GREEDY, kvCache, resumableTokens };
}

/** Token ids that repeat only after a long time. */
export function promptOf(length: number, vocabulary: number): Uint32Array {
  return Uint32Array.from({ length }, (_, i) => 3 + i * 7919 % (vocabulary - 3));
}

/** Starts the engine on the stage's model, and says how long that took. */
export async function startTimed(
  { modelPath }: StageTask,
  options: Omit<EngineWorkerOptions, "model" | "kvType">,
): Promise<{ engine: EngineClient; seconds: number; uploadSeconds: number }> {
  const start = performance.now();
  let uploaded = start;
  const engine = await startEngineWorker(
    {
      model: modelPath,
      kvType: "f16",
      maxQueue: options.maxBatch,
      defaultKvCache: FULL,
      policies: builtInPolicies,
      ...options,
    },
    ({ stage }) => {
      if (stage === "tensors") uploaded = performance.now();
    },
  );
  const since = (time: number) => (time - start) / 1000;
  return { engine, seconds: since(performance.now()), uploadSeconds: since(uploaded) };
}

/** A stream whose tokens are followed as they arrive. */
export class Stream {
  tokens = 0;
  usage: KvCacheUsage | undefined;
  /** Between two deliveries of the present run, in milliseconds. */
  longestWait = 0;
  #last = performance.now();
  #arrivals: { tokens: number; at: number }[] = [];
  #failure: Error | undefined;
  readonly generation: Generation;
  #waiting: { until: "first" | "end"; resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor(engine: EngineClient, request: GenerationRequest) {
    this.generation = engine.generate(request);
    this.#follow();
  }

  /** Resolves at the first token of a run, or at its end; rejects when the generation fails. */
  reaches(until: "first" | "end"): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => this.#waiting.push({ until, resolve, reject }));
  }

  /** Forgets what has been drawn and draws again. */
  resume(maxTokens: number): void {
    this.tokens = 0;
    this.longestWait = 0;
    this.#arrivals = [];
    this.generation.resume({ rewind: true, continuation: { tokens: Uint32Array.of(5) }, maxTokens });
  }

  /** Tokens that arrived after a moment, and the moment of the last. */
  after(moment: number): { tokens: number; last: number } {
    const later = this.#arrivals.filter(({ at }) => at > moment);
    return { tokens: later.reduce((sum, { tokens }) => sum + tokens, 0), last: later.at(-1)?.at ?? moment };
  }

  async #follow(): Promise<void> {
    for await (const event of this.generation.events) {
      if (event.type === "prefilled") this.usage = event.kvCache;
      if (event.type === "tokens") {
        const now = performance.now();
        if (this.tokens > 0) this.longestWait = Math.max(this.longestWait, now - this.#last);
        this.#last = now;
        this.tokens += event.tokens.length;
        this.#arrivals.push({ tokens: event.tokens.length, at: now });
        this.#settle(["first"]);
      }
      if (event.type === "paused" || event.type === "finished") this.#settle(["first", "end"]);
      if (event.type === "failed") {
        this.#failure = new Error(event.message);
        for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
      }
    }
  }

  #settle(reached: readonly ("first" | "end")[]): void {
    const [done, open] = [true, false].map((is) => this.#waiting.filter(({ until }) => reached.includes(until) === is));
    this.#waiting = open;
    for (const { resolve } of done) resolve();
  }
}
