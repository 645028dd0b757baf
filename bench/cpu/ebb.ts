/** @file Ebb as a contender: its CPU engine with either kind of weights, or its GPU engine on a software adapter. */
import type { KvCacheChoice } from "../../src/contract/generation.ts";
import { GREEDY } from "../../src/contract/sampling.ts";
import { startEngineWorker } from "../../src/engine/client.ts";
import { builtInPolicies } from "../../src/serving/policies.ts";
import { type Case, type Contender, promptOf, type Timing } from "./contender.ts";

/** How Ebb is started. */
export interface EbbOptions {
  readonly device: "cpu" | "gpu";
  readonly weights?: "f32" | "int8";
  readonly threads?: number;
  readonly context: number;
  readonly kvCache?: KvCacheChoice;
}

const THREADS = {
  cpu: new URL("../../src/cpu/worker.ts", import.meta.url),
  gpu: new URL("../../src/engine/worker.ts", import.meta.url),
};
const STREAMS = 8;
const FULL: KvCacheChoice = { policy: "full", budget: 1 };

/** Starts Ebb on a model. */
export async function startEbb(
  name: string,
  model: string,
  { device, weights, threads, context, kvCache = FULL }: EbbOptions,
): Promise<Contender> {
  const begun = performance.now();
  const before = Deno.memoryUsage().rss;
  const engine = await startEngineWorker({
    model,
    thread: THREADS[device],
    cpuWeights: weights,
    threads,
    context,
    maxBatch: STREAMS,
    maxQueue: STREAMS,
    defaultKvCache: kvCache,
    policies: builtInPolicies,
  });
  const run = async ({ prompt, streams, tokens }: Case): Promise<Timing> => {
    const start = performance.now();
    const firsts: number[] = [];
    await Promise.all(Array.from({ length: streams }, async (_, stream) => {
      const { events } = engine.generate({
        prompt: Uint32Array.from(promptOf(prompt, stream)),
        maxTokens: tokens,
        stopTokens: [],
        sampling: GREEDY,
        kvCache,
      });
      let isFirst = true;
      for await (const event of events) {
        if (event.type === "failed") throw new Error(event.message);
        if (event.type === "tokens" && isFirst) {
          firsts.push(performance.now());
          isFirst = false;
        }
      }
    }));
    const first = Math.max(...firsts);
    return { first: (first - start) / 1000, rest: (performance.now() - first) / 1000 };
  };
  return {
    name,
    ready: (performance.now() - begun) / 1000,
    memory: Deno.memoryUsage().rss - before,
    run,
    close: () => engine.close(),
  };
}
