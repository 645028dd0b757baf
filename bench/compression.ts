/**
 * @file What DynamicKV saves and costs: bytes of the KV cache and the time to the first token of a long prompt.
 *
 * The model has random weights: rows kept per layer say nothing about quality here, bytes and times do not depend on it.
 */
import { writeFile } from "node:fs/promises";
import { blocksFor } from "../src/cache/block.ts";
import { type EngineClient, startEngineWorker } from "../src/engine/client.ts";
import type { KvCacheChoice, KvCacheUsage } from "../src/contract/generation.ts";
import { GREEDY } from "../src/contract/sampling.ts";
import { seededRandom } from "../fixtures/random.ts";
import { tinyGguf } from "../fixtures/tiny_model.ts";
import { builtInPolicies } from "../src/serving/policies.ts";
import { median } from "./statistics.ts";

const MODEL = {
  architecture: "llama",
  layers: 12,
  hiddenSize: 128,
  queryHeads: 4,
  kvHeads: 2,
  headSize: 32,
  feedForwardSize: 256,
  vocabulary: 320,
  context: 8192,
  type: "Q8_0",
} as const;
const CHOICES: readonly KvCacheChoice[] = [
  { policy: "full", budget: "100%" },
  ...[64, 128, 512].map((budget) => ({ policy: "dynamickv", budget })),
];

const WARM_UP_TOKENS = 512;

/** What one policy made of the prompt. */
export interface CompressionRun {
  readonly policy: string;
  /** Mean rows per layer, or a share of the prompt. */
  readonly budget: KvCacheChoice["budget"];
  /** Most bytes of pool blocks in use at once while the prompt was read. */
  readonly peakPoolBytes: number;
  /** Keys and values of the one layer that is being read, outside the pool: the part that this prompt fills. */
  readonly scratchBytes: number;
  /** Bytes of pool blocks that the prompt keeps. */
  readonly finalBytes: number;
  readonly rowsPerLayer: readonly number[];
  /** From the request to the first token: median, and every round's. */
  readonly firstTokenSeconds: number;
  readonly rounds: readonly number[];
}

export interface CompressionResults {
  readonly adapter: string;
  readonly model: typeof MODEL;
  readonly promptTokens: number;
  readonly runs: readonly CompressionRun[];
}

/** Reads a long random prompt under each policy, in turns. */
export async function benchmarkCompression(
  { quick }: { readonly quick: boolean },
  progress: (line: string) => void,
): Promise<CompressionResults> {
  const promptTokens = quick ? 1024 : 4096;
  const random = seededRandom(1);
  const prompt = Uint32Array.from({ length: promptTokens }, () => Math.floor(random() * MODEL.vocabulary));
  const path = await Deno.makeTempFile({ suffix: ".gguf" });
  // An engine for each policy: a pool remembers its peak.
  const engines: EngineClient[] = [];
  try {
    await writeFile(path, tinyGguf(MODEL));
    for (const defaultKvCache of CHOICES) {
      engines.push(
        await startEngineWorker({
          model: path,
          kvType: "f16",
          maxBatch: 1,
          maxQueue: 1,
          defaultKvCache,
          policies: builtInPolicies,
        }),
      );
    }
    // Nobody's first round may pay for what only a first prompt does.
    for (const engine of engines) await firstToken(engine, prompt.subarray(0, WARM_UP_TOKENS));
    const rounds: FirstToken[][] = engines.map(() => []);
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      for (const [index, engine] of engines.entries()) {
        const first = await firstToken(engine, prompt);
        rounds[index].push(first);
        progress(`compression: ${describe(CHOICES[index])}: first token after ${first.seconds.toFixed(2)} s`);
      }
    }
    const runs: CompressionRun[] = [];
    for (const [index, engine] of engines.entries()) {
      const { blocksPeak, blockBytes } = await engine.stats();
      const [{ usage }] = rounds[index];
      const seconds = rounds[index].map((first) => first.seconds);
      runs.push({
        policy: usage.policy,
        budget: CHOICES[index].budget,
        peakPoolBytes: blocksPeak * blockBytes,
        scratchBytes: blocksFor(promptTokens) * blockBytes,
        finalBytes: usage.bytes,
        rowsPerLayer: usage.rowsPerLayer,
        firstTokenSeconds: median(seconds),
        rounds: seconds,
      });
    }
    return { adapter: engines[0].device, model: MODEL, promptTokens, runs };
  } finally {
    for (const engine of engines) await engine.close();
    await Deno.remove(path);
  }
}

/** A policy and its budget in words. */
export function describe({ policy, budget }: Pick<KvCacheChoice, "policy" | "budget">): string {
  return policy === "full" ? policy : `${policy} ${budget}`;
}

interface FirstToken {
  readonly seconds: number;
  readonly usage: KvCacheUsage;
}

async function firstToken(engine: EngineClient, prompt: Uint32Array): Promise<FirstToken> {
  const start = performance.now();
  let seconds = NaN;
  let usage: KvCacheUsage | undefined;
  const { events } = engine.generate({
    prompt,
    maxTokens: 1,
    stopTokens: [],
    sampling: GREEDY,
    kvCache: engine.defaultKvCache,
  });
  for await (const event of events) {
    if (event.type === "failed") throw new Error(event.message);
    if (event.type === "prefilled") usage = event.kvCache;
    if (event.type === "tokens") seconds = (performance.now() - start) / 1000;
  }
  return { seconds, usage: usage! };
}
