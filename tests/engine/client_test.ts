import assert from "node:assert/strict";
import { QueueFullError, UnservableRequestError } from "../../src/contract/errors.ts";
import type { Generation } from "../../src/contract/generation.ts";
import { collect, randomPrompt, request, startTestEngine, TEST_ENGINE, until } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { startMortalEngine } from "../support/mortal_engine.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";

const MODEL: TinyModelOptions = { architecture: "llama", seed: 51, layers: 5, keyGains: [1, 0.3, 1.6, 1, 0.1] };
const BLOCK_BYTES = 16 * 2 * 16 * 2 * 4;

const engine = await startTestEngine(MODEL, { kvMemory: 155 * BLOCK_BYTES, maxQueue: 6 });

/** Everything is back in the pool and nothing runs. */
const idle = () =>
  until(async () => {
    const { running, waiting, blocksUsed } = await engine.stats();
    return running === 0 && waiting === 0 && blocksUsed === 0;
  }, "an idle engine");

function refusal(error: unknown): { field: string; code: string | null; message: string } {
  assert.ok(error instanceof UnservableRequestError, String(error));
  return error;
}

Deno.test("startEngineWorker() reports the model, and that nothing runs yet", async () => {
  assert.equal(engine.state, "ready");
  assert.equal(engine.model.contextLength, 512);
  assert.equal(engine.model.vocabularySize, 320);
  assert.equal(engine.model.architecture, "llama");
  const stats = await engine.stats();
  assert.equal(stats.blocksTotal, 155);
  assert.equal(stats.blockBytes, BLOCK_BYTES);
  for (const counter of ["running", "waiting", "promptTokens", "generatedTokens", "submits", "blocksPeak"] as const) {
    assert.equal(stats[counter], 0, counter);
  }
});

Deno.test("startEngineWorker() says so when the context is longer than what the model was made for", async () => {
  const lines: string[] = [];
  const log = (line: string) => void lines.push(line);
  for (const context of [512, 600]) await (await startTestEngine(MODEL, { context, log })).close();
  assert.deepEqual(lines, [
    "--context is 600, but the model was made for 512 tokens: beyond them its answers may make no sense",
  ]);
});

Deno.test("startEngineWorker() names the flags that ask for more than the adapter can hold", async () => {
  await assert.rejects(
    () => startTestEngine(MODEL, { maxBatch: 2 ** 24 }),
    /^\w*: Cannot allocate .* bytes exceed .*; fewer sequences than 16777216 \(--max-batch\) or .* than 512 tokens \(--context\)/,
  );
});

Deno.test("generate() refuses what can never be served, naming the field", () => {
  const refused = (changes: Parameters<typeof request>[1], length = 10) => {
    try {
      engine.generate(request(randomPrompt(seededRandom(1), length), changes));
    } catch (error) {
      return refusal(error);
    }
    throw new Error("It was accepted");
  };
  const tooLong = refused({ maxTokens: 13 }, 500);
  assert.equal(tooLong.code, "context_length_exceeded");
  assert.match(tooLong.message, /500 tokens and max_tokens is 13: expected at most 512 in all/);
  assert.equal(refused({}, 0).field, "prompt");
  const { field, code, message } = refused({ maxTokens: 112 }, 400);
  assert.deepEqual({ field, code }, { field: "max_tokens", code: "kv_memory_exceeded" });
  assert.match(message, /lower max_tokens or kv_cache.budget, or raise --kv-memory/);
  assert.equal(refused({ kvCache: { policy: "dynamickv", budget: "120%" } }).field, "kv_cache");
});

Deno.test("fittingTokens() is the most that generate() takes", () => {
  const prompt = randomPrompt(seededRandom(6), 400);
  const most = engine.fittingTokens(request(prompt, { maxTokens: 112 }));
  assert.ok(most > 0 && most < 112, String(most));
  assert.doesNotThrow(() => engine.generate(request(prompt, { maxTokens: most })).abort());
  assert.throws(() => engine.generate(request(prompt, { maxTokens: most + 1 })), UnservableRequestError);
  const compressed = { policy: "dynamickv", budget: 64 };
  assert.equal(engine.fittingTokens(request(prompt, { maxTokens: 112, kvCache: compressed })), 112);
  assert.equal(engine.fittingTokens(request(randomPrompt(seededRandom(6), 510), { maxTokens: 2 })), 0);
  assert.throws(
    () => engine.fittingTokens(request(prompt, { kvCache: { policy: "dynamickv", budget: "120%" } })),
    (error) => refusal(error).field === "kv_cache",
  );
});

Deno.test("a prompt too long for the memory with a full cache is served with a compressed one", async () => {
  const prompt = randomPrompt(seededRandom(2), 460);
  assert.throws(() => engine.generate(request(prompt)), UnservableRequestError);
  const compressed = request(prompt, { kvCache: { policy: "dynamickv", budget: 40 } });
  const { ids, kvCache } = await collect(engine.generate(compressed));
  assert.equal(ids.length, 8);
  assert.ok(kvCache!.rowsPerLayer.reduce((sum, rows) => sum + rows) <= 5 * 40);
  await idle();
});

Deno.test("a full queue refuses, and takes requests again when there is room", async () => {
  const { maxBatch } = TEST_ENGINE;
  const single = request(randomPrompt(seededRandom(3), 20), { maxTokens: 30 });
  assert.equal(engine.maxSequences, maxBatch + 6);
  const accepted = Array.from({ length: engine.maxSequences }, () => engine.generate(single));
  assert.throws(() => engine.generate(single), (error) => {
    assert.ok(error instanceof QueueFullError);
    assert.equal(error.message, "The queue is full: 6 requests are waiting");
    return true;
  });
  const outcomes = accepted.map(collect);
  const [{ ids }] = await Promise.all([outcomes[0]]);
  const late = await collect(engine.generate(single));
  assert.deepEqual(late.ids, ids);
  for (const outcome of await Promise.all(outcomes)) assert.deepEqual(outcome.ids, ids);
  await idle();
});

Deno.test("when blocks are short, requests wait, are let in in order, and all complete", async () => {
  // Each is promised 5 layers of 15 blocks: two at a time fit into 155.
  const long = Array.from(
    { length: 8 },
    (_, i) => request(randomPrompt(seededRandom(i), 180 + i), { maxTokens: 20 }),
  );
  const order: number[] = [];
  let mostRunning = 0;
  const outcomes = await Promise.all(long.map(async (single, i) => {
    const generation = engine.generate(single);
    for await (const event of generation.events) {
      if (event.type === "prefilled") {
        order.push(i);
        mostRunning = Math.max(mostRunning, (await engine.stats()).running);
      }
      if (event.type === "finished") return event;
    }
  }));
  assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.ok(mostRunning <= 2, `${mostRunning} ran at once`);
  for (const last of outcomes) assert.deepEqual(last, { type: "finished", reason: "length", completionTokens: 20 });
  const { blocksPeak } = await engine.stats();
  assert.ok(blocksPeak <= 155 && blocksPeak > 100, `${blocksPeak} blocks at most`);
  await idle();
});

Deno.test("leaving the loop and abort() end a generation once, wherever it is", async () => {
  const random = seededRandom(4);
  const single = (length: number) => request(randomPrompt(random, length), { maxTokens: 60 });
  const { generatedTokens } = await engine.stats();
  const left = engine.generate({ ...single(30), maxTokens: 300 });
  for await (const { type } of left.events) if (type === "tokens") break;
  await idle();
  assert.ok((await engine.stats()).generatedTokens < generatedTokens + 300, "it went on to its end");
  const generations = Array.from({ length: 9 }, (_, i) => engine.generate(single([5, 200, 40][i % 3])));
  const outcomes = await Promise.all(generations.map(async (generation, i) => {
    const outcome = collect(generation);
    await new Promise((resolve) => setTimeout(resolve, randomInteger(random, 0, 80)));
    if (i % 2 === 0) {
      generation.abort();
      generation.abort();
    }
    return await outcome;
  }));
  for (const [i, { last, ids, types }] of outcomes.entries()) {
    assert.ok(last.type === "finished");
    if (i % 2 === 1) assert.deepEqual(last, { type: "finished", reason: "length", completionTokens: 60 });
    assert.equal(last.completionTokens, ids.length);
    assert.equal(types.indexOf("finished"), types.length - 1);
  }
  await idle();
});

Deno.test("an abort in the turn in which the generation ends changes nothing", async () => {
  const single = request(randomPrompt(seededRandom(5), 10), { maxTokens: 3 });
  for (let i = 0; i < 5; i++) {
    const generation = engine.generate(single);
    const types: string[] = [];
    for await (const { type } of generation.events) {
      types.push(type);
      if (type === "tokens") generation.abort();
    }
    assert.equal(types.filter((type) => type === "finished").length, 1);
    generation.abort();
  }
  await idle();
});

Deno.test("close() ends running generations, and nothing is accepted or left waiting afterwards", async () => {
  const closing = await startTestEngine(MODEL);
  const outcomes = Array.from(
    { length: 6 },
    (_, i) => collect(closing.generate(request(randomPrompt(seededRandom(i), 50 * i + 1), { maxTokens: 200 }))),
  );
  await until(async () => (await closing.stats()).generatedTokens > 0, "the first token");
  const [first, second, asked] = [closing.close(), closing.close(), closing.stats().catch((error) => error)];
  assert.throws(() => closing.generate(request([3])), /The engine was closed/);
  for (const { last } of await Promise.all(outcomes)) {
    assert.deepEqual(last, { type: "failed", message: "The engine was closed" });
  }
  assert.match((await asked).message, /The engine was closed/);
  await Promise.all([first, second]);
  await closing.close();
  await assert.rejects(closing.stats(), /The engine was closed/);
});

for (const when of ["while sequences run", "while nothing runs"]) {
  Deno.test(`a device that is lost ${when} fails the engine and every generation, and nothing hangs`, async () => {
    const { engine: mortal, loseDevice } = await withFile(tinyGguf(MODEL), startMortalEngine);
    const generations: Generation[] = when === "while nothing runs" ? [] : Array.from(
      { length: 6 },
      (_, i) => mortal.generate(request(randomPrompt(seededRandom(i), 40 * i + 1), { maxTokens: 250 })),
    );
    const outcomes = generations.map(collect);
    if (generations.length > 0) await until(async () => (await mortal.stats()).generatedTokens > 0, "the first token");
    loseDevice();
    const asked = mortal.stats().catch((error) => error);
    assert.match((await mortal.failed).message, /The GPU device was lost/);
    assert.equal(mortal.state, "failed");
    await asked;
    for (const { last } of await Promise.all(outcomes)) {
      assert.equal(last.type, "failed");
    }
    assert.throws(() => mortal.generate(request([3])), /The engine has failed/);
    await assert.rejects(mortal.stats(), /The engine has failed/);
    await mortal.close();
    assert.equal(mortal.state, "failed");
  });
}

Deno.test("a worker that dies fails every generation and every question for statistics", async () => {
  const { engine: mortal, die } = await withFile(tinyGguf(MODEL), startMortalEngine);
  const outcome = collect(mortal.generate(request([3, 4, 5], { maxTokens: 400 })));
  die();
  await assert.rejects(mortal.stats(), /The thread died on purpose/);
  assert.equal((await outcome).last.type, "failed");
  assert.equal(mortal.state, "failed");
  await mortal.close();
});

for (
  const [what, options] of Object.entries({ "block": { kvMemory: BLOCK_BYTES }, "token of context": { context: 1 } })
) {
  Deno.test(`an engine with a single ${what} starts and refuses what does not fit`, async () => {
    const small = await startTestEngine(MODEL, options);
    assert.throws(() => small.generate(request([3, 4])), UnservableRequestError);
    assert.equal((await small.stats()).blocksUsed, 0);
    await small.close();
  });
}

Deno.test("the engine of these tests is as it was, and closes", async () => {
  await idle();
  await engine.close();
});
