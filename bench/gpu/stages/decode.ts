/**
 * @file Stage: how fast one and several streams decode through the engine, over short and long caches.
 *
 * All streams have the same prompt, which is read once for all of them; they stop behind it, and some of them go on at a
 * time. What they drew is forgotten afterwards, so that every run starts from the same rows.
 */
import { BLOCK_ROWS } from "../../../src/cache/block.ts";
import type { EngineStats } from "../../../src/contract/engine.ts";
import type { EngineClient } from "../../../src/engine/client.ts";
import { MAX_STEPS } from "../../../src/model/dimensions.ts";
import { promptOf, requestOf, startTimed, Stream } from "../generations.ts";
import { watchStalls } from "../../watch_stalls.ts";
import type { DecodeResults, DecodeRun } from "../results.ts";
import { cacheRowBytes, multipliedElements, type Shape, SHAPES } from "../shapes.ts";
import type { StageContext } from "../stage.ts";

/** Tokens behind a prompt: the drawn ones, the given one that a stream goes on with, and what it may overrun its end by. */
const behindPrompt = (decodeTokens: number) => decodeTokens + 1 + MAX_STEPS;

/** Measures all numbers of streams over all caches. */
export async function measureDecode(context: StageContext<DecodeResults>): Promise<void> {
  const { task, report, progress } = context;
  const { streams, cacheRows, decodeTokens } = task.lengths;
  const shape = SHAPES[task.shape];
  const longest = cacheRows.at(-1)!;
  const { engine, maxBatch, loaded } = await startLargest(context, shape, streams.at(-1)!, longest);
  const { weightBytes } = engine.model;
  let results: DecodeResults = {
    loadSeconds: loaded.seconds,
    loadBytesPerSecond: weightBytes / loaded.uploadSeconds,
    gpuBytes: (await engine.stats()).gpuBytes,
    maxBatch,
    runs: [],
  };
  report(results);
  progress(
    `loaded in ${loaded.seconds.toFixed(1)} s, ${(results.loadBytesPerSecond / 1e9).toFixed(2)} GB/s`,
  );
  for (const rows of cacheRows) {
    const promptTokens = rows - behindPrompt(decodeTokens);
    const prompt = promptOf(promptTokens, shape.vocabulary);
    const all = Array.from(
      { length: maxBatch },
      () => new Stream(engine, requestOf(prompt, 1, undefined, decodeTokens + 1)),
    );
    const started = performance.now();
    await Promise.all(all.map((stream) => stream.reaches("end")));
    progress(`${maxBatch} caches of ${promptTokens} rows in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    // The engine learns how much goes into a submit, and drivers how to run the kernels: that takes a run of its own.
    await measure(engine, all.slice(0, 1), decodeTokens, promptTokens, shape);
    for (const count of streams.filter((count) => count <= maxBatch)) {
      const run = await measure(engine, all.slice(0, count), decodeTokens, promptTokens, shape);
      results = { ...results, runs: [...results.runs, run] };
      report(results);
      progress(`${count} x ${promptTokens} rows: ${run.tokensPerSecond.toFixed(1)} tokens/s`);
    }
    for (const { generation } of all) generation.abort();
    await untilIdle(engine);
  }
  await engine.close();
}

/** Starts the engine for as many streams as the memory has room for. */
async function startLargest(
  { task, progress }: StageContext<DecodeResults>,
  shape: Shape,
  wanted: number,
  rows: number,
) {
  for (let maxBatch = wanted;; maxBatch = Math.ceil(maxBatch / 2)) {
    try {
      const kvMemory = poolBytes(shape, rows, maxBatch);
      const loaded = await startTimed(task, { context: rows + MAX_STEPS, maxBatch, kvMemory });
      return { engine: loaded.engine, maxBatch, loaded };
    } catch (error) {
      if (maxBatch === 1) throw error;
      progress(`${maxBatch} streams do not fit: ${(error as Error).message}`);
    }
  }
}

/** Storage buffers hold no more, whatever an adapter says (see Gpu.maxBindingBytes). */
const ARENA_BYTES = 2 ** 31 - 256;

/** Bytes of a pool that holds `count` sequences of `rows` rows, none of which can lie in two arenas. */
function poolBytes(shape: Shape, rows: number, count: number): number {
  // Besides its rows, a layer of a sequence may have a block that is not full, and two to spare.
  const sequence = cacheRowBytes(shape) * (rows + 3 * BLOCK_ROWS);
  const perArena = Math.max(1, Math.floor(ARENA_BYTES / sequence));
  return count <= perArena ? count * sequence : Math.ceil(count / perArena) * ARENA_BYTES;
}

async function measure(
  engine: EngineClient,
  streams: readonly Stream[],
  tokens: number,
  promptTokens: number,
  shape: Shape,
): Promise<DecodeRun> {
  const before = await engine.stats();
  const ended = streams.map((stream) => stream.reaches("end"));
  const first = streams.map((stream) => stream.reaches("first"));
  const resumed = performance.now();
  for (const stream of streams) stream.resume(tokens);
  await Promise.all(first);
  const allDecode = performance.now();
  const longestStall = watchStalls();
  await Promise.all(ended);
  const longestStallMilliseconds = longestStall();
  const after = await engine.stats();
  // Where all came at once there is no later moment to count from.
  const start = streams.some((stream) => stream.after(allDecode).tokens > 0) ? allDecode : resumed;
  const arrived = streams.map((stream) => stream.after(start));
  const drawn = arrived.reduce((sum, { tokens }) => sum + tokens, 0);
  const seconds = (Math.max(...arrived.map(({ last }) => last)) - start) / 1000;
  const grown = (counter: keyof EngineStats) => Number(after[counter]) - Number(before[counter]);
  const steps = Math.max(1, grown("decodeSteps"));
  const { layers, output } = multipliedElements(shape);
  const perElement = engine.model.weightBytes / engine.model.parameterCount;
  const weightBytes = (layers + output) * perElement;
  const cacheBytes = streams.length * (promptTokens + tokens / 2) * cacheRowBytes(shape);
  return {
    streams: streams.length,
    promptTokens,
    tokensPerStream: tokens,
    tokensPerSecond: drawn / seconds,
    bytesPerSecond: drawn / streams.length / seconds * (weightBytes + cacheBytes),
    dispatchesPerStep: grown("dispatches") / steps,
    encodeMicrosecondsPerStep: grown("encodeSeconds") / steps * 1e6,
    stepsPerSubmit: steps / Math.max(1, grown("submits")),
    longestWaitMilliseconds: Math.max(...streams.map(({ longestWait }) => longestWait)),
    longestStallMilliseconds,
  };
}

/** Until all blocks are free again. */
async function untilIdle(engine: EngineClient): Promise<void> {
  while ((await engine.stats()).blocksUsed > 0) await new Promise((resolve) => setTimeout(resolve, 20));
}
