/** @file How fast a small model decodes through the engine, and what each token costs besides GPU time. */
import { startEngineWorker } from "../src/engine/client.ts";
import type { Engine, EngineStats } from "../src/contract/engine.ts";
import { GREEDY } from "../src/contract/sampling.ts";
import { builtInPolicies } from "../src/serving/policies.ts";
import { median } from "./statistics.ts";
import { watchStalls } from "./watch_stalls.ts";

const MODEL = "../shared/models/stories260K.gguf";
/** "Once upon a time" after the beginning-of-sequence token. */
const PROMPT = Uint32Array.of(1, 403, 407, 261, 378);
const MAX_BATCH = 16;
/** What the model's file says, and what it was trained at: streams fill one or the other. */
const CONTEXTS = [128, 512];

/** One run: `streams` generations at once. Every figure is of the whole run, prefill included. */
export interface DecodeRun {
  readonly streams: number;
  readonly tokensPerStream: number;
  /** Of all streams together, from the requests to the last token. */
  readonly tokensPerSecond: number;
  readonly dispatchesPerStep: number;
  readonly dispatchesPerToken: number;
  readonly stepsPerSubmit: number;
  readonly encodeMicrosecondsPerToken: number;
  readonly buffersCreated: number;
  readonly bindGroupsCreated: number;
  /** Longest time that the thread which serves HTTP could not run a timer. */
  readonly longestStallMilliseconds: number;
}

export interface DecodeResults {
  readonly model: string;
  readonly adapter: string;
  /** The run of median speed for each length and number of streams. */
  readonly runs: readonly DecodeRun[];
  /** The longest gap of the same timer while the engine is idle. */
  readonly idleStallMilliseconds: number;
}

/**
 * Decodes with one stream and with sixteen.
 *
 * @returns undefined where the model is missing
 */
export async function benchmarkDecode(
  { quick }: { readonly quick: boolean },
  progress: (line: string) => void,
): Promise<DecodeResults | undefined> {
  try {
    await Deno.stat(MODEL);
  } catch {
    progress(`decode: skipped, because there is no ${MODEL}`);
    return undefined;
  }
  const engine = await startEngineWorker({
    model: MODEL,
    context: Math.max(...CONTEXTS),
    kvType: "f16",
    maxBatch: MAX_BATCH,
    maxQueue: MAX_BATCH,
    defaultKvCache: { policy: "full", budget: "100%" },
    policies: builtInPolicies,
  });
  try {
    const runs: DecodeRun[] = [];
    for (const tokens of quick ? [100] : CONTEXTS.map((context) => context - PROMPT.length)) {
      for (const streams of [1, MAX_BATCH]) {
        progress(`decode: ${streams} ${streams === 1 ? "stream" : "streams"} of ${tokens} tokens`);
        await run(engine, streams, tokens);
        const measured: DecodeRun[] = [];
        for (let i = 0; i < (quick ? 1 : 5); i++) measured.push(await run(engine, streams, tokens));
        const speed = median(measured.map(({ tokensPerSecond }) => tokensPerSecond));
        runs.push(measured.find(({ tokensPerSecond }) => tokensPerSecond === speed)!);
      }
    }
    const idle = watchStalls();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return { model: engine.model.id, adapter: engine.device, runs, idleStallMilliseconds: idle() };
  } finally {
    await engine.close();
  }
}

async function run(engine: Engine, streams: number, tokens: number): Promise<DecodeRun> {
  const before = await engine.stats();
  const longestStall = watchStalls();
  const start = performance.now();
  await Promise.all(Array.from({ length: streams }, () => generate(engine, tokens)));
  const seconds = (performance.now() - start) / 1000;
  const longestStallMilliseconds = longestStall();
  const after = await engine.stats();
  const grown = (counter: keyof EngineStats) => Number(after[counter]) - Number(before[counter]);
  const total = streams * tokens;
  return {
    streams,
    tokensPerStream: tokens,
    tokensPerSecond: total / seconds,
    dispatchesPerStep: grown("dispatches") / grown("decodeSteps"),
    dispatchesPerToken: grown("dispatches") / total,
    stepsPerSubmit: grown("decodeSteps") / grown("submits"),
    encodeMicrosecondsPerToken: grown("encodeSeconds") / total * 1e6,
    buffersCreated: grown("buffersCreated"),
    bindGroupsCreated: grown("bindGroupsCreated"),
    longestStallMilliseconds,
  };
}

async function generate(engine: Engine, maxTokens: number): Promise<void> {
  const { events } = engine.generate({
    prompt: PROMPT,
    maxTokens,
    stopTokens: [],
    sampling: GREEDY,
    kvCache: engine.defaultKvCache,
  });
  for await (const event of events) {
    if (event.type === "failed") throw new Error(event.message);
  }
}
