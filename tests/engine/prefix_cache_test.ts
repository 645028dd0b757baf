import assert from "node:assert/strict";
import { BLOCK_ROWS } from "../../src/cache/block.ts";
import type { GenerationRequest, KvCacheChoice } from "../../src/contract/generation.ts";
import type { Model } from "../../src/model/model.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { type Outcome, randomPrompt, request } from "../support/engine.ts";
import { observedModel, runTogether, TestRun } from "../support/scheduling.ts";
import type { TinyModelOptions } from "../../fixtures/tiny_model.ts";

const MODEL: TinyModelOptions = { architecture: "llama", seed: 31, layers: 3, keyGains: [1, 0.3, 1.6] };
const CONTEXT = 700;
/** 16 rows of 2 KV heads of 16 keys and 16 values, f32. */
const BLOCK_BYTES = 16 * 2 * 16 * 2 * 4;

const plain = await observedModel(MODEL, { contextLength: CONTEXT, maxBatch: 4 });
const cached = await observedModel(MODEL, { contextLength: CONTEXT, maxBatch: 4, prefixCache: Infinity });

const DOCUMENT = randomPrompt(seededRandom(1), 500);

/** A question to the document. */
const question = (seed: number, length: number) => [...DOCUMENT, ...randomPrompt(seededRandom(100 + seed), length)];

/** What becomes of a request that nothing else runs beside. */
async function alone(model: Model, single: GenerationRequest): Promise<Outcome> {
  return (await runTogether(model, [single]))[0];
}

/** The same tokens and rows, and probabilities up to the rounding of f32. */
function assertSame(actual: Outcome, expected: Outcome, what: string): void {
  assert.deepEqual(actual.ids, expected.ids, what);
  assert.deepEqual(actual.kvCache, expected.kvCache, what);
  actual.tokens.forEach(({ logprob }, i) => {
    if (logprob === undefined) return;
    assert.ok(Math.abs(logprob - expected.tokens[i].logprob!) < 1e-4, `${what}: log-probability of token ${i}`);
  });
}

/** What a model keeps of policies whose scores ask so many queries at the end of the prompt; `Infinity` asks all. */
const CHOICES: readonly (readonly [KvCacheChoice, queries: number])[] = [
  [{ policy: "full", budget: 1 }, 1],
  [{ policy: "dynamickv", budget: 60 }, 8],
  [{ policy: "dynamickv", budget: "10%", options: { mode: "published" } }, 8],
  [{ policy: "adakv", budget: 60, options: { window: 32 } }, 32],
  [{ policy: "cake", budget: 60, options: { window: 30 } }, 30],
  [{ policy: "lava", budget: 60, options: { window: 5 } }, 5],
  [{ policy: "keydiff", budget: 60 }, 1],
  [{ policy: "streaming", budget: 60 }, 1],
  [{ policy: "h2o", budget: 60 }, Infinity],
  [{ policy: "readahead", budget: 60 }, Infinity],
  // Statistics of the attention are asked of the last rows, though the score does not look at them.
  [{ policy: "knorm+cake", budget: 60, options: { window: 20 } }, 20],
];

const wholeBlocks = (rows: number) => Math.max(0, Math.floor(rows / BLOCK_ROWS) * BLOCK_ROWS);

for (const [kvCache, queries] of CHOICES) {
  Deno.test(`a second question to a document gets the answer that it gets without a cache: ${JSON.stringify(kvCache)}`, async () => {
    cached.model.prefixIndex.clear();
    for (const [seed, length] of [20, 45, 3, 8].entries()) {
      const asked = request(question(seed, length), { maxTokens: 24, topLogprobs: 0, kvCache });
      const expected = await alone(plain.model, asked);
      const actual = await alone(cached.model, asked);
      assertSame(actual, expected, `question ${seed}`);
      assert.equal(expected.cachedTokens, 0);
      const known = seed === 0 ? 0 : DOCUMENT.length;
      assert.equal(
        actual.cachedTokens,
        wholeBlocks(Math.min(known, asked.prompt.length - queries)),
        `question ${seed}`,
      );
      assert.equal(cached.model.pool.usedBlocks, 0);
    }
    assert.equal(rowsFound(cached.model, question(1, 45)), wholeBlocks(545), "the question is kept too");
  });
}

function rowsFound({ prefixIndex }: Model, tokens: readonly number[]): number {
  return prefixIndex.find(Uint32Array.from(tokens), tokens.length)[0].rows;
}

Deno.test("a conversation goes on from the rows of its answers, where every row was kept", async () => {
  cached.model.prefixIndex.clear();
  // With the answers of 40 tokens, whole blocks: but for the row of the last one, which is never fed.
  const turns = [88, 24, 60].map((length, turn) => randomPrompt(seededRandom(50 + turn), length));
  let said: number[] = [];
  for (const [turn, added] of turns.entries()) {
    const prompt = [...said, ...added];
    // Longer than the prompts: nothing is dropped.
    const asked = request(prompt, { maxTokens: 40, topLogprobs: 0, kvCache: { policy: "dynamickv", budget: 600 } });
    const expected = await alone(plain.model, asked);
    const actual = await alone(cached.model, asked);
    assertSame(actual, expected, `turn ${turn}`);
    assert.equal(actual.cachedTokens, wholeBlocks(said.length - 1));
    said = [...prompt, ...actual.ids];
  }
});

Deno.test("rows behind a compressed prompt are never found, only the prompt's own", async () => {
  cached.model.prefixIndex.clear();
  const asked = request(DOCUMENT, { maxTokens: 60, kvCache: { policy: "dynamickv", budget: 60 } });
  const { ids } = await alone(cached.model, asked);
  assert.equal(rowsFound(cached.model, [...DOCUMENT, ...ids]), wholeBlocks(500));
});

// Where the prompt is protected, the budget is that of the generated rows alone.
for (const [decodeProtection, maxTokens] of [["none", 150], ["boundaries", 150], ["prompt", 220]] as const) {
  Deno.test(`a prompt kept whole reads shared blocks, and evictions that protect ${decodeProtection} do not touch them`, async () => {
    cached.model.prefixIndex.clear();
    const whole = request(DOCUMENT.slice(0, 100), { maxTokens: 4 });
    await alone(cached.model, whole);
    const before = await contentsOf(DOCUMENT.slice(0, 100));
    const evicting = request(DOCUMENT.slice(0, 110), {
      maxTokens,
      kvCache: { policy: "snapkv", budget: 120, decodeInterval: 40, decodeProtection },
    });
    const expected = await alone(plain.model, evicting);
    const actual = await alone(cached.model, evicting);
    assert.ok(expected.types.includes("evicted"));
    assertSame(actual, expected, "evicting");
    assert.equal(actual.cachedTokens, 96);
    assert.deepEqual(await contentsOf(DOCUMENT.slice(0, 100)), before);
    assert.equal(rowsFound(cached.model, [...DOCUMENT.slice(0, 110), ...actual.ids]), 96);
  });
}

/** The keys and values that are cached of a prompt, by layer and block. */
async function contentsOf(tokens: readonly number[]): Promise<Float32Array[]> {
  const { prefixIndex, config } = cached.model;
  const lease = prefixIndex.acquire(prefixIndex.find(Uint32Array.from(tokens), tokens.length)[0]);
  const arena = await cached.readArena(lease.arena);
  const elements = BLOCK_BYTES / 4;
  const blocks = Array.from({ length: config.layerCount }, (_, layer) => [...lease.table(layer)]).flat();
  lease.release();
  return blocks.map((id) => arena.slice(id * elements, (id + 1) * elements));
}

Deno.test("cached rows are those of the prompt to rounding, whichever policy has stored them", async () => {
  const contents: Float32Array[][] = [];
  for (const kvCache of [CHOICES[0][0], CHOICES[1][0]]) {
    cached.model.prefixIndex.clear();
    await alone(cached.model, request(DOCUMENT, { kvCache }));
    contents.push(await contentsOf(DOCUMENT));
  }
  assert.deepEqual(contents[1], contents[0]);
  // The second half of it behind the first, which was read before.
  cached.model.prefixIndex.clear();
  await alone(cached.model, request(DOCUMENT.slice(0, 250), { kvCache: CHOICES[1][0] }));
  await alone(cached.model, request(DOCUMENT, { kvCache: CHOICES[1][0] }));
  const behind = await contentsOf(DOCUMENT);
  assert.equal(behind.length, contents[0].length);
  behind.forEach((block, i) => {
    assert.deepEqual(block.length, contents[0][i].length);
    block.forEach((value, at) => assert.ok(Math.abs(value - contents[0][i][at]) < 1e-4, `block ${i}, element ${at}`));
  });
});

Deno.test("equal prompts of several policies share what is cached, as far as each of them can", async () => {
  cached.model.prefixIndex.clear();
  await alone(cached.model, request(DOCUMENT, {}));
  const requests = [CHOICES[1], CHOICES[0], CHOICES[3], CHOICES[5]].map(([kvCache]) =>
    request(question(7, 10), { maxTokens: 12, topLogprobs: 0, kvCache })
  );
  const actual = await runTogether(cached.model, requests);
  for (const [i, outcome] of actual.entries()) {
    assertSame(outcome, await alone(plain.model, requests[i]), `request ${i}`);
    assert.equal(outcome.cachedTokens, wholeBlocks(510 - 32));
  }
  const withSums = await runTogether(cached.model, [
    request(question(8, 10), { kvCache: CHOICES[8][0] }),
    request(question(8, 10), {}),
  ]);
  assert.deepEqual(withSums.map(({ cachedTokens }) => cachedTokens), [0, 0]);
});

const tiny: readonly (readonly [name: string, blocks: number, arena: number, prefixCache: number])[] = [
  ["a pool of the longest sequence", 150, 150, Infinity],
  ["three arenas", 400, 140, Infinity],
  ["a cache of few blocks", 400, 400, 20 * BLOCK_BYTES],
];
const requests = Array.from(
  { length: 32 },
  (() => {
    const random = seededRandom(3);
    return () => randomRequest(random);
  })(),
);
const expected: Outcome[] = [];
for (const [name, blocks, arena, prefixCache] of tiny) {
  Deno.test(`sequences with prefixes in common get what they get alone, aborts among them: ${name}`, async () => {
    const observed = await observedModel(
      MODEL,
      { contextLength: CONTEXT, maxBatch: 4, kvMemory: blocks * BLOCK_BYTES, prefixCache },
      arena * BLOCK_BYTES,
    );
    if (expected.length === 0) {
      for (const single of requests) expected.push(await alone(plain.model, single));
    }
    const random = seededRandom(blocks + arena);
    // At which of its events a request is aborted.
    const aborts = requests.map(() => random() < 0.25 ? randomInteger(random, 0, 3) : Infinity);
    const next = [...requests.keys()];
    const run: TestRun = new TestRun(observed.model, (id, event) => {
      const count = run.events[id].length;
      if (count > aborts[id]) queueMicrotask(() => run.loop.abort(id));
      if (event.type === "finished") addNext();
    });
    const addNext = () => {
      const index = next.shift();
      if (index === undefined) return;
      run.add(requests[index]);
      if (aborts[index] === 0) queueMicrotask(() => run.loop.abort(index));
    };
    // Some wait from the start, the others come when one has ended.
    for (let i = 0; i < 9; i++) addNext();
    const { outcomes, stats } = await run.end();
    outcomes.forEach((outcome, i) => {
      const { last } = outcome;
      if (last.type === "finished" && last.reason === "aborted") {
        assert.ok(aborts[i] < Infinity);
        assert.deepEqual(outcome.ids, expected[i].ids.slice(0, outcome.ids.length), `request ${i}`);
      } else assertSame(outcome, expected[i], `request ${i}`);
    });
    assert.equal(stats.blocksUsed, 0);
    assert.ok(stats.blocksCached * BLOCK_BYTES <= prefixCache);
    assert.ok(stats.prefixHits > 500, `${stats.prefixHits} of ${stats.prefixQueries} tokens were found`);
    const { pool, prefixIndex } = observed.model;
    for (let index = 0; index < pool.arenaCount; index++) {
      pool.release(index, pool.allocate(index, pool.arenaBlocks(index), 0));
      assert.equal(pool.emptyBlocks(index), pool.arenaBlocks(index));
    }
    assert.equal(prefixIndex.keptBlocks, 0);
    observed.model.gpu.destroy();
  });
}

function randomRequest(random: () => number): GenerationRequest {
  const [kvCache] = CHOICES[randomInteger(random, 0, CHOICES.length - 1)];
  const document = [DOCUMENT, DOCUMENT.toReversed()][randomInteger(random, 0, 1)];
  const known = randomInteger(random, 0, 20) * BLOCK_ROWS + (random() < 0.3 ? randomInteger(random, 0, 15) : 0);
  const prompt = [...document.slice(0, known), ...randomPrompt(random, randomInteger(random, 1, 70))];
  const evicts = ["dynamickv", "keydiff", "h2o"].includes(kvCache.policy) && kvCache.options === undefined &&
    random() < 0.4;
  return request(prompt, {
    maxTokens: randomInteger(random, 1, 60),
    topLogprobs: 0,
    kvCache: evicts ? { ...kvCache, decodeInterval: 16 } : kvCache,
  });
}

Deno.test("a prompt that is aborted while it is read leaves nothing, and lets go of what was found of it", async () => {
  // So many layers that the first two turns, which are recorded at once, do not reach the last one.
  const { model } = await observedModel(
    { architecture: "llama", seed: 31, layers: 9 },
    { contextLength: CONTEXT, maxBatch: 4, prefixCache: Infinity },
  );
  const cases: readonly (readonly [string, GenerationRequest])[] = [
    ["a longer prompt than fits into two turns", request(randomPrompt(seededRandom(9), 690))],
    ["scores that are read back after every layer", {
      ...request(question(9, 60)),
      kvCache: { policy: "dynamickv", budget: 60, options: { interval: 1 } },
    }],
  ];
  for (const [what, asked] of cases) {
    model.prefixIndex.clear();
    await alone(model, request(DOCUMENT));
    const found = rowsFound(model, [...asked.prompt]);
    const run = new TestRun(model);
    run.add(asked);
    await Promise.resolve();
    assert.ok(model.pool.usedBlocks > 0, what);
    run.loop.abort(0);
    // What an aborted prompt holds goes before the next turn is recorded: this one takes some.
    run.add(request(DOCUMENT.slice(0, 40)));
    const { stats, outcomes } = await run.end();
    assert.deepEqual(outcomes[0].types, ["finished"], what);
    assert.equal(stats.blocksUsed, 0, what);
    assert.equal(rowsFound(model, [...asked.prompt]), found, what);
    assert.equal(model.prefixIndex.keptBlocks, model.config.layerCount * Math.floor((500 + 7) / BLOCK_ROWS), what);
  }
  model.gpu.destroy();
});
