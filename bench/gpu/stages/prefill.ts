/**
 * @file Stage: how fast prompts are read, and what policies make of a long one: time to its first token, bytes of its
 * cache, and how fast it decodes afterwards.
 *
 * The long prompt is halved until reading it under every policy fits into the stage's time, as far as shorter ones tell.
 */
import type { KvCacheChoice } from "../../../src/contract/generation.ts";
import type { EngineClient } from "../../../src/engine/client.ts";
import { MAX_STEPS } from "../../../src/model/dimensions.ts";
import { FULL, promptOf, requestOf, startTimed, Stream } from "../generations.ts";
import type { PrefillResults, PrefillRun } from "../results.ts";
import { cacheRowBytes, promptOperations, type Shape, SHAPES } from "../shapes.ts";
import type { StageContext } from "../stage.ts";

/** Between two looks at the pool. */
const LOOK_MILLISECONDS = 20;
/** A sequence lies in one arena, and no arena is larger: see decode.ts. */
const POOL_BYTES = 2 ** 31 - 256;
/** What a card can be asked for besides weights and scratch, so that the pool can hold several long prompts. */
const POOLS = 2;

/** Measures prompts of all lengths, and policies at the longest. */
export async function measurePrefill(context: StageContext<PrefillResults>): Promise<void> {
  const { task, report, progress, remaining } = context;
  const { prompts, decodeTokens, budget } = task.lengths;
  const shape = SHAPES[task.shape];
  const longest = prompts.at(-1)!;
  const poolBytes = Math.min(POOLS * POOL_BYTES, 2 * cacheRowBytes(shape) * (longest + decodeTokens + 4 * MAX_STEPS));
  const { engine, seconds } = await startTimed(task, {
    context: longest + decodeTokens + MAX_STEPS,
    maxBatch: 1,
    kvMemory: poolBytes,
  });
  let results: PrefillResults = { loadSeconds: seconds, poolBytes, runs: [], refusals: [] };
  const measured = async (kvCache: KvCacheChoice, promptTokens: number): Promise<PrefillRun> => {
    const run = await measure(engine, shape, kvCache, promptTokens, decodeTokens, poolBytes);
    report(results = { ...results, runs: [...results.runs, run] });
    progress(
      `${run.policy}, ${promptTokens} tokens: first token after ${run.firstTokenSeconds.toFixed(2)} s, ` +
        `${run.tokensPerSecond.toFixed(0)} tokens/s, ${(run.operationsPerSecond / 1e12).toPrecision(3)} TFLOP/s`,
    );
    return run;
  };
  // The first prompt pays for what only a first one does.
  await measure(engine, shape, FULL, prompts[0], 1, poolBytes);
  let last: PrefillRun | undefined;
  for (const promptTokens of prompts.slice(0, -1)) last = await measured(FULL, promptTokens);

  const choices = [{ policy: "dynamickv", budget }, FULL, { policy: "ebbkv", budget }];
  const expected = (tokens: number) =>
    1.3 * choices.length * promptOperations(shape, tokens) / (last?.operationsPerSecond ?? Infinity);
  let tokens = longest;
  while (tokens / 2 >= prompts.at(-2)! && expected(tokens) > remaining()) tokens /= 2;
  if (tokens < longest) progress(`${longest} tokens would take ${expected(longest).toFixed(0)} s: ${tokens} instead`);
  for (const kvCache of choices) {
    try {
      await measured(kvCache, tokens);
    } catch (error) {
      const refusal = { policy: kvCache.policy, promptTokens: tokens, reason: (error as Error).message };
      report(results = { ...results, refusals: [...results.refusals, refusal] });
      progress(`${kvCache.policy}, ${tokens} tokens: ${refusal.reason}`);
      const fitting = longestFitting(engine, tokens, decodeTokens, kvCache);
      if (fitting > prompts.at(-2)!) await measured(kvCache, fitting);
    }
  }
  await engine.close();
}

/** The longest prompt, in steps of 256 tokens, that a sequence's memory has room for. */
function longestFitting(engine: EngineClient, tokens: number, decodeTokens: number, kvCache: KvCacheChoice): number {
  for (let length = tokens - 256; length > 0; length -= 256) {
    const request = requestOf(new Uint32Array(length), decodeTokens, kvCache);
    if (engine.fittingTokens(request) === decodeTokens) return length;
  }
  return 0;
}

async function measure(
  engine: EngineClient,
  shape: Shape,
  kvCache: KvCacheChoice,
  promptTokens: number,
  decodeTokens: number,
  poolBytes: number,
): Promise<PrefillRun> {
  const { blockBytes } = await engine.stats();
  const start = performance.now();
  const stream = new Stream(engine, requestOf(promptOf(promptTokens, shape.vocabulary), decodeTokens, kvCache));
  const ended = stream.reaches("end");
  // Where the first token never comes, this one says why.
  ended.catch(() => {});
  const watch = watchPool(engine);
  try {
    await stream.reaches("first");
    const firstTokenSeconds = (performance.now() - start) / 1000;
    const peakBlocks = await watch.stop();
    const first = performance.now();
    await ended;
    const { tokens, last } = stream.after(first);
    const finalBytes = stream.usage!.bytes;
    return {
      policy: kvCache.policy,
      budget: kvCache.budget,
      promptTokens,
      firstTokenSeconds,
      tokensPerSecond: promptTokens / firstTokenSeconds,
      operationsPerSecond: promptOperations(shape, promptTokens) / firstTokenSeconds,
      peakPoolBytes: Math.max(peakBlocks * blockBytes, finalBytes),
      finalBytes,
      sequencesInPool: Math.floor(poolBytes / finalBytes),
      decodeTokensPerSecond: tokens > 0 ? 1000 * tokens / (last - first) : 0,
    };
  } finally {
    await watch.stop();
  }
}

/** Looks at the pool until told to stop, which gives the most blocks seen. */
function watchPool(engine: EngineClient): { stop(): Promise<number> } {
  let isOver = false;
  const looking = (async () => {
    let most = 0;
    while (!isOver) {
      most = Math.max(most, (await engine.stats()).blocksUsed);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MILLISECONDS));
    }
    return most;
  })();
  return {
    stop: () => {
      isOver = true;
      return looking;
    },
  };
}
