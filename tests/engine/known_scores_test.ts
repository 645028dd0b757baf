/** @file Scores by chunks that are kept beside the rows of the prefix cache, on both engines. */
import assert from "node:assert/strict";
import { BLOCK_ROWS } from "../../src/cache/block.ts";
import type { PrefixIndex } from "../../src/cache/prefix_index.ts";
import type { GenerationRequest, KvCacheChoice } from "../../src/contract/generation.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";
import { loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { type Outcome, randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";
import { observedModel, runTogether, TestRun } from "../support/scheduling.ts";

const MODEL: TinyModelOptions = { architecture: "llama", seed: 31, layers: 3, keyGains: [1, 0.3, 1.6] };
const CONTEXT = 1900;
/** 16 rows of 2 KV heads of 16 keys and 16 values, f32. */
const BLOCK_BYTES = 16 * 2 * 16 * 2 * 4;
const DOCUMENT = randomPrompt(seededRandom(1), 1100);
const question = (seed: number, length: number) => [...DOCUMENT, ...randomPrompt(seededRandom(100 + seed), length)];
const rehearsal = (budget: number, window?: number): KvCacheChoice => ({
  policy: "rehearsal",
  budget,
  ...window !== undefined && { options: { window } },
});

interface Engine {
  readonly index: PrefixIndex;
  alone(asked: GenerationRequest): Promise<Outcome>;
}

const ENGINES: Readonly<Record<string, (prefixCache: number) => Promise<Engine>>> = {
  async gpu(prefixCache) {
    const { model } = await observedModel(MODEL, { contextLength: CONTEXT, maxBatch: 4, prefixCache });
    return { index: model.prefixIndex, alone: async (asked) => (await runTogether(model, [asked]))[0] };
  },
  async cpu(prefixCache) {
    const options = { contextLength: CONTEXT, prefixCache, weights: "int8" } as const;
    const model = await withFile(tinyGguf(MODEL), (path) => loadCpuModel(path, options));
    return {
      index: model.prefixCache.index,
      alone: async (asked) => (await runOnCpu(model, [asked])).outcomes[0],
    };
  },
};

function assertSame(actual: Outcome, expected: Outcome, what: string): void {
  assert.deepEqual(actual.ids, expected.ids, what);
  assert.deepEqual(actual.kvCache, expected.kvCache, what);
}

for (const [name, open] of Object.entries(ENGINES)) {
  const plain = await open(0);
  const cached = await open(Infinity);

  /** Asks with and without a cache. @returns rows that were found */
  const asked = async (prompt: number[], kvCache: KvCacheChoice): Promise<number> => {
    const single = request(prompt, { maxTokens: 12, kvCache: { ...kvCache, report: "positions" } });
    const actual = await cached.alone(single);
    assertSame(actual, await plain.alone(single), `${name}, ${prompt.length} rows`);
    return actual.cachedTokens!;
  };
  const wholeBlocks = (rows: number) => Math.floor(rows / BLOCK_ROWS) * BLOCK_ROWS;

  Deno.test(`a second question is rehearsed with the scores of the first, and reads the last 512 rows alone: ${name}`, async () => {
    cached.index.clear();
    assert.equal(await asked(question(0, 20), rehearsal(60)), 0);
    assert.equal(await asked(question(1, 45), rehearsal(60)), wholeBlocks(1145 - 512));
    // Another budget and window have the same scores, and so has a part of the document.
    assert.equal(await asked(question(2, 3), rehearsal(90, 30)), wholeBlocks(1103 - 512));
    assert.equal(await asked(DOCUMENT.slice(0, 1030), rehearsal(60)), wholeBlocks(1030 - 512));
    // Chunks that have not been read whole are scored anew.
    assert.equal(await asked(DOCUMENT.slice(0, 900), rehearsal(60)), wholeBlocks(900 - 512));
    assert.equal(await asked(question(3, 700), rehearsal(60)), 1024);
    assert.equal(await asked(question(3, 760), rehearsal(60)), wholeBlocks(1860 - 512));
    // What is longer than all chunks but its window has scores for it as well.
    assert.equal(await asked(DOCUMENT.slice(0, 1024), rehearsal(500, 400)), 512);
    assert.equal(await asked(DOCUMENT.slice(0, 500), rehearsal(60)), 0);
  });

  Deno.test(`prompts that part within a chunk have their own scores of all of it: ${name}`, async () => {
    cached.index.clear();
    const parting = (seed: number) => [...DOCUMENT.slice(0, 700), ...randomPrompt(seededRandom(seed), 500)];
    assert.equal(await asked(parting(1), rehearsal(60)), 0);
    assert.equal(await asked(parting(2), rehearsal(60)), 512);
    for (const seed of [1, 2]) assert.equal(await asked(parting(seed), rehearsal(60)), wholeBlocks(1200 - 512));
  });

  Deno.test(`a prompt that was read by others is rehearsed once, and found with its scores from then on: ${name}`, async () => {
    for (const policy of ["dynamickv", "full"]) {
      cached.index.clear();
      assert.equal(await asked(question(0, 20), { policy, budget: 60 }), 0);
      assert.equal(await asked(question(1, 30), rehearsal(60)), 0);
      assert.equal(await asked(question(2, 40), rehearsal(60)), wholeBlocks(1140 - 512));
      assert.equal(await asked(question(2, 41), { policy: "dynamickv", budget: 60 }), wholeBlocks(1141 - 8));
    }
  });

  Deno.test(`ebbkv reads the last rows alone as well, but all of them where its budget is small: ${name}`, async () => {
    cached.index.clear();
    assert.equal(await asked(question(0, 20), { policy: "ebbkv", budget: 60 }), 0);
    assert.equal(await asked(question(1, 45), { policy: "ebbkv", budget: 60 }), wholeBlocks(1145 - 512));
    assert.equal(await asked(question(2, 45), rehearsal(60)), wholeBlocks(1145 - 512));
    assert.equal(await asked(question(3, 45), { policy: "ebbkv", budget: 30 }), 0);
  });

  Deno.test(`scores go where their rows go: ${name}`, async () => {
    cached.index.clear();
    await asked(question(0, 20), rehearsal(60));
    const found = () => cached.index.find(Uint32Array.from(DOCUMENT), DOCUMENT.length)[0];
    assert.deepEqual([found().rows, cached.index.scoresOf(found()).length], [1088, 2]);
    const { pool } = cached.index;
    // Some rows are given up from the end: the last whole chunk is not whole any more.
    const taken = pool.allocate(0, pool.emptyBlocks(0) + 7 * cached.index.layerCount, 0);
    assert.ok(found().rows < 1088);
    const known = 512 * cached.index.scoresOf(found()).length;
    assert.equal(known, 512);
    pool.release(0, taken);
    assert.equal(await asked(question(1, 20), rehearsal(60)), Math.min(known, wholeBlocks(1120 - 512)));
    assert.equal(await asked(question(2, 20), rehearsal(60)), wholeBlocks(1120 - 512));
  });
}

Deno.test("rehearsed prompts that begin alike get what they get alone, in little memory, beside others and with aborts", async () => {
  const plain = await ENGINES.gpu(0);
  const { model } = await observedModel(
    MODEL,
    { contextLength: CONTEXT, maxBatch: 4, kvMemory: 600 * BLOCK_BYTES, prefixCache: Infinity },
    400 * BLOCK_BYTES,
  );
  const random = seededRandom(8);
  const requests = Array.from({ length: 20 }, () => {
    const known = randomInteger(random, 30, 68) * BLOCK_ROWS;
    const prompt = [...DOCUMENT.slice(0, known), ...randomPrompt(random, randomInteger(random, 1, 500))];
    const kvCache = random() < 0.8 ? rehearsal(randomInteger(random, 40, 90)) : { policy: "dynamickv", budget: 60 };
    return request(prompt, { maxTokens: randomInteger(random, 1, 20), kvCache });
  });
  const aborts = requests.map(() => random() < 0.2 ? randomInteger(random, 1, 3) : Infinity);
  const next = [...requests.keys()];
  const run: TestRun = new TestRun(model, (id, event) => {
    if (run.events[id].length > aborts[id]) queueMicrotask(() => run.loop.abort(id));
    if (event.type === "finished") addNext();
  });
  const addNext = () => {
    const index = next.shift();
    if (index !== undefined) run.add(requests[index]);
  };
  for (let i = 0; i < 4; i++) addNext();
  const { outcomes, stats } = await run.end();
  for (const [i, outcome] of outcomes.entries()) {
    const expected = await plain.alone(requests[i]);
    const { last } = outcome;
    if (last.type === "finished" && last.reason === "aborted") {
      assert.deepEqual(outcome.ids, expected.ids.slice(0, outcome.ids.length), `request ${i}`);
    } else assertSame(outcome, expected, `request ${i}`);
  }
  assert.equal(stats.blocksUsed, 0);
  assert.ok(stats.prefixHits > 1000, `${stats.prefixHits} of ${stats.prefixQueries} tokens were found`);
});
