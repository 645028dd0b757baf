/** @file The prefix cache on the CPU; that of the books, and on a GPU, is tested in tests/cache/ and tests/engine/. */
import assert from "node:assert/strict";
import { BLOCK_ROWS } from "../../src/cache/block.ts";
import type { GenerationRequest, KvCacheChoice } from "../../src/contract/generation.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";
import { type CpuModel, loadCpuModel, runOnCpu } from "../support/cpu.ts";
import { type Outcome, randomPrompt, request } from "../support/engine.ts";
import { withFile } from "../support/files.ts";

const MODEL: TinyModelOptions = { architecture: "llama", seed: 31, layers: 3, keyGains: [1, 0.3, 1.6] };
/** 16 rows of 2 KV heads of 16 keys and 16 values, f32. */
const BLOCK_BYTES = 16 * 2 * 16 * 2 * 4;
const load = (options: { readonly kvMemory?: number; readonly prefixCache?: number }) =>
  withFile(tinyGguf(MODEL), (path) => loadCpuModel(path, options));
const plain = await load({});
const cached = await load({ prefixCache: Infinity });

const DOCUMENT = randomPrompt(seededRandom(1), 300);
const question = (seed: number, length: number) => [...DOCUMENT, ...randomPrompt(seededRandom(100 + seed), length)];
const wholeBlocks = (rows: number) => Math.floor(rows / BLOCK_ROWS) * BLOCK_ROWS;

async function alone(model: CpuModel, asked: GenerationRequest): Promise<Outcome> {
  return (await runOnCpu(model, [asked])).outcomes[0];
}

/** The same tokens and rows, and probabilities up to the rounding of f32. */
function assertSame(actual: Outcome, expected: Outcome, what: string): void {
  assert.deepEqual(actual.ids, expected.ids, what);
  assert.deepEqual(actual.kvCache, expected.kvCache, what);
  actual.tokens.forEach(({ logprob }, i) =>
    assert.ok(Math.abs(logprob! - expected.tokens[i].logprob!) < 1e-4, `${what}: log-probability of token ${i}`)
  );
}

/** With the queries at the end of the prompt that their scores ask; `Infinity` asks all. */
const CHOICES: readonly (readonly [KvCacheChoice, queries: number])[] = [
  [{ policy: "full", budget: 1 }, 1],
  [{ policy: "dynamickv", budget: 60 }, 8],
  [{ policy: "adakv", budget: 60, options: { window: 20 } }, 20],
  [{ policy: "h2o", budget: 60 }, Infinity],
  [{ policy: "readahead", budget: 60 }, Infinity],
];
for (const [kvCache, queries] of CHOICES) {
  Deno.test(`a second question on the CPU gets the answer that it gets without a cache: ${kvCache.policy}`, async () => {
    cached.prefixCache.index.clear();
    for (const [seed, length] of [20, 3, 40].entries()) {
      const asked = request(question(seed, length), { maxTokens: 12, topLogprobs: 0, kvCache });
      const actual = await alone(cached, asked);
      assertSame(actual, await alone(plain, asked), `question ${seed}`);
      const known = seed === 0 ? 0 : DOCUMENT.length;
      const expected = Math.max(0, wholeBlocks(Math.min(known, asked.prompt.length - queries)));
      assert.equal(actual.cachedTokens, expected, `question ${seed}`);
      assert.equal(cached.pool.usedBlocks, 0);
    }
  });
}

Deno.test("a conversation on the CPU goes on from the rows of its answers", async () => {
  cached.prefixCache.index.clear();
  let said: number[] = [];
  for (const [turn, length] of [88, 24, 60].entries()) {
    const prompt = [...said, ...randomPrompt(seededRandom(50 + turn), length)];
    const asked = request(prompt, { maxTokens: 40, topLogprobs: 0 });
    const actual = await alone(cached, asked);
    assertSame(actual, await alone(plain, asked), `turn ${turn}`);
    assert.equal(actual.cachedTokens, said.length === 0 ? 0 : wholeBlocks(said.length - 1));
    said = [...prompt, ...actual.ids];
  }
});

Deno.test("sequences with prefixes in common get what they get alone on the CPU, in little memory and with aborts", async () => {
  const tight = await load({ kvMemory: 100 * BLOCK_BYTES, prefixCache: Infinity });
  const random = seededRandom(5);
  const requests = Array.from({ length: 24 }, () => {
    const prompt = [
      ...DOCUMENT.slice(0, randomInteger(random, 0, 15) * BLOCK_ROWS),
      ...randomPrompt(random, randomInteger(random, 1, 50)),
    ];
    const [kvCache] = CHOICES[randomInteger(random, 0, CHOICES.length - 1)];
    return request(prompt, { maxTokens: randomInteger(random, 1, 30), topLogprobs: 0, kvCache });
  });
  const aborts = requests.map(() => random() < 0.2 ? randomInteger(random, 1, 3) : Infinity);
  const counts = requests.map(() => 0);
  const { outcomes, stats } = await runOnCpu(tight, requests, (id, _, scheduler) => {
    if (++counts[id] === aborts[id]) queueMicrotask(() => scheduler.abort(id));
  });
  for (const [i, outcome] of outcomes.entries()) {
    const expected = await alone(plain, requests[i]);
    const { last } = outcome;
    if (last.type === "finished" && last.reason === "aborted") {
      assert.deepEqual(outcome.ids, expected.ids.slice(0, outcome.ids.length), `request ${i}`);
    } else assertSame(outcome, expected, `request ${i}`);
  }
  assert.equal(stats.blocksUsed, 0);
  assert.ok(stats.prefixHits > 500, `${stats.prefixHits} of ${stats.prefixQueries} tokens were found`);
  tight.pool.release(0, tight.pool.allocate(0, 100, 0));
  assert.equal(tight.prefixCache.index.keptBlocks, 0);
  assert.equal(tight.pool.emptyBlocks(0), 100);
});
