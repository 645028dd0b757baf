import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import type { GenerationRequest, KvCacheChoice } from "../../src/contract/generation.ts";
import { Pack } from "../../src/engine/pack.ts";
import { GREEDY, type SamplingParameters } from "../../src/contract/sampling.ts";
import type { Model } from "../../src/model/model.ts";
import { type Outcome, randomPrompt, request, until } from "../support/engine.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";
import { observedModel, runTogether, TestRun, watchingPromises } from "../support/scheduling.ts";
import type { TinyModelOptions } from "../../fixtures/tiny_model.ts";

const MODEL: TinyModelOptions = { architecture: "llama", seed: 31, layers: 3, keyGains: [1, 0.3, 1.6] };
const LONGEST_PROMPT = 300;
const MOST_TOKENS = 60;
const CONTEXT = LONGEST_PROMPT + MOST_TOKENS;
/** 16 rows of 2 KV heads of 16 keys and 16 values, f32. */
const BLOCK_BYTES = 16 * 2 * 16 * 2 * 4;

const roomy = await observedModel(MODEL, { contextLength: CONTEXT, maxBatch: 4, kvMemory: 1000 * BLOCK_BYTES });
/** So little memory that the longest sequence takes half of it. */
const tight = await observedModel(MODEL, { contextLength: CONTEXT, maxBatch: 4, kvMemory: 150 * BLOCK_BYTES });
/** Three arenas, each hardly larger than the longest sequence. */
const split = await observedModel(
  MODEL,
  { contextLength: CONTEXT, maxBatch: 4, kvMemory: 300 * BLOCK_BYTES },
  100 * BLOCK_BYTES,
);

function pick<T>(random: () => number, choices: readonly T[]): T {
  return choices[randomInteger(random, 0, choices.length - 1)];
}

function randomSampling(random: () => number): SamplingParameters {
  if (random() < 0.4) return GREEDY;
  return {
    temperature: pick(random, [0, 0.7, 1, 1.5]),
    topK: pick(random, [0, 0, 5, 40]),
    topP: pick(random, [1, 1, 0.8]),
    minP: pick(random, [0, 0, 0.05]),
    frequencyPenalty: pick(random, [0, 0, 0.5]),
    presencePenalty: pick(random, [0, 0, -0.5]),
    repetitionPenalty: pick(random, [1, 1, 1.3]),
    logitBias: pick(random, [[], [], [{ token: 17, bias: 3 }, { token: 200, bias: -100 }]]),
    seed: randomInteger(random, 0, 2 ** 32 - 1),
  };
}

function randomRequest(random: () => number): GenerationRequest {
  const kvCache = pick<KvCacheChoice>(random, [
    { policy: "full", budget: 1 },
    { policy: "dynamickv", budget: randomInteger(random, 9, 80) },
    { policy: "dynamickv", budget: "25%", options: { window: 5, interval: 1 } },
    { policy: "dynamickv", budget: 32, options: { mode: "published" } },
    { policy: "adakv", budget: randomInteger(random, 9, 80) },
    { policy: "lava", budget: "25%", options: { window: 8 } },
  ]);
  return request(randomPrompt(random, pick(random, [1, 2, 15, 16, 17, 40, 130, 257, LONGEST_PROMPT])), {
    maxTokens: pick(random, [1, 2, 3, 16, 33, MOST_TOKENS]),
    stopTokens: random() < 0.4 ? Array.from({ length: 12 }, () => randomInteger(random, 0, 319)) : [],
    sampling: randomSampling(random),
    topLogprobs: pick(random, [undefined, undefined, 0, 3]),
    kvCache,
  });
}

const random = seededRandom(41);
const requests = Array.from({ length: 40 }, () => randomRequest(random));
const alone: Outcome[] = [];

Deno.test("every request run alone ends with exactly one last event, at a stop token or at its limit", async () => {
  for (const [i, single] of requests.entries()) {
    const [outcome] = await runTogether(roomy.model, [single]);
    alone.push(outcome);
    const { ids, types, last } = outcome;
    assert.equal(types[0], "prefilled", `request ${i}`);
    assert.equal(types.filter((type) => type === "finished").length, 1, `request ${i}`);
    const stop = ids.findIndex((id) => single.stopTokens.includes(id));
    const [reason, count] = stop < 0 ? ["length", single.maxTokens] as const : ["stop", stop + 1] as const;
    assert.deepEqual(last, { type: "finished", reason, completionTokens: count }, `request ${i}`);
    assert.equal(ids.length, count, `request ${i}`);
  }
  assert.ok(alone.some(({ last }) => last.type === "finished" && last.reason === "stop"));
});

type AbortAt = "queue" | "prefill" | "decode" | "never";

/** Runs all requests, some of them aborted on the way, and checks what they got and what is left. */
async function checkRandomRun(model: Model, random: () => number): Promise<void> {
  const { pool, config } = model;
  const fates = requests.map((): AbortAt => pick(random, ["never", "never", "never", "queue", "prefill", "decode"]));
  const run: TestRun = new TestRun(model, (id, event) => {
    if (event.type === "prefilled" && fates[id] === "decode") abortLater(id, randomInteger(random, 0, 30));
  });
  const abortLater = (id: number, milliseconds: number) => setTimeout(milliseconds).then(() => run.loop.abort(id));
  const before = run.loop.stats();
  for (const single of requests) {
    const id = run.add(single);
    if (fates[id] === "queue") run.loop.abort(id);
    if (fates[id] === "prefill") abortLater(id, randomInteger(random, 0, 60));
    if (random() < 0.3) await setTimeout(randomInteger(random, 0, 40));
  }
  const { outcomes, stats } = await run.end();

  for (const [i, { ids, kvCache, last, types }] of outcomes.entries()) {
    assert.equal(types.filter((type) => type === "finished").length, 1, `request ${i}`);
    assert.ok(last.type === "finished" && last.completionTokens === ids.length, `request ${i}`);
    assert.deepEqual(ids, alone[i].ids.slice(0, ids.length), `request ${i}`);
    if (fates[i] === "never") assert.deepEqual(last, alone[i].last, `request ${i}`);
    if (fates[i] === "queue") assert.deepEqual(types, ["finished"], `request ${i}`);
    if (kvCache) assert.deepEqual(kvCache, alone[i].kvCache, `request ${i}`);
  }

  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const prefilled = outcomes.flatMap(({ kvCache }) => kvCache ?? []);
  assert.equal(stats.promptTokens, sum(prefilled.map(({ promptRows }) => promptRows)));
  assert.equal(stats.generatedTokens, sum(outcomes.map(({ ids }) => ids.length)));
  stats.evictedRowsPerLayer.forEach((rows, layer) =>
    assert.equal(rows, sum(prefilled.map(({ promptRows, rowsPerLayer }) => promptRows - rowsPerLayer[layer])))
  );
  for (const count of ["running", "waiting", "blocksUsed"] as const) {
    assert.equal(stats[count], 0, count);
  }
  assert.deepEqual(stats.blocksUsedPerLayer, Array(config.layerCount).fill(0));
  for (const name of ["buffersCreated", "bindGroupsCreated", "gpuBytes"] as const) {
    assert.equal(stats[name], before[name], `${name} has grown`);
  }
  for (let arena = 0; arena < pool.arenaCount; arena++) {
    assert.ok(pool.canAllocate(arena, pool.arenaBlocks(arena)), `arena ${arena} is whole again`);
  }
}

for (const [name, { model }] of Object.entries({ "one arena, short of blocks": tight, "three arenas": split })) {
  Deno.test(`random requests and aborts change no result and leave nothing behind: ${name}`, async () => {
    const random = seededRandom(name.length);
    let worst = 0;
    // Some policies create what they need when they are first used.
    const prompt = randomPrompt(random, 130);
    for (const policy of ["adakv", "lava"]) {
      await runTogether(model, [request(prompt, { kvCache: { policy, budget: 20 } })]);
    }
    await watchingPromises((held, promised) => {
      worst = Math.max(worst, held / promised);
      assert.ok(held <= promised, `A sequence holds ${held} blocks, but was promised ${promised}`);
    }, async () => {
      for (let round = 0; round < 3; round++) await checkRandomRun(model, random);
    });
    assert.ok(worst > 0.5, "the promises are not far off");
  });
}

Deno.test("a prompt of many layers holds two intervals of provisional rows at once, as it was promised", async () => {
  const options: TinyModelOptions = {
    architecture: "llama",
    layers: 16,
    hiddenSize: 32,
    queryHeads: 2,
    kvHeads: 1,
    feedForwardSize: 32,
  };
  const { model } = await observedModel(options, { contextLength: 512 });
  const random = seededRandom(6);
  for (const [interval, budget] of [[4, 16], [2, 24]]) {
    let worst = 0;
    const kvCache = { policy: "dynamickv", budget, options: { interval, maximumRatio: 10 } };
    await watchingPromises((held, promised) => {
      worst = Math.max(worst, held);
      assert.ok(held <= promised, `A sequence holds ${held} blocks, but was promised ${promised}`);
    }, async () => {
      await runTogether(model, [400, 90].map((length) => request(randomPrompt(random, length), { kvCache })));
    });
    assert.ok(
      worst > 2 * interval * Math.floor(10 * (budget - 8) / 16),
      `interval ${interval}: at most ${worst} blocks`,
    );
  }
});

Deno.test("sequences in several arenas decode in one batch", async () => {
  const { model } = split;
  assert.equal(model.pool.arenaCount, 3);
  const long = [0, 1, 2].map((i) => request(randomPrompt(seededRandom(i), LONGEST_PROMPT), { maxTokens: 40 }));
  let mostUsed = 0;
  const run = new TestRun(model, () => mostUsed = Math.max(mostUsed, model.pool.usedBlocks));
  for (const single of long) run.add(single);
  const { outcomes } = await run.end();
  assert.ok(mostUsed > 3 * 19 * 2, "more than one arena can hold was in use at once");
  for (const [i, single] of long.entries()) {
    const [expected] = await runTogether(roomy.model, [single]);
    assert.deepEqual(outcomes[i].ids, expected.ids);
  }
});

Deno.test("an abort gives blocks and slot back at once, in the queue, in prefill and while decoding", async () => {
  const { model } = tight;
  const { pool } = model;
  const run = new TestRun(model);
  const { loop } = run;
  const long = () => request(randomPrompt(seededRandom(3), LONGEST_PROMPT), { maxTokens: MOST_TOKENS });
  const first = run.add(long());
  await until(() => run.events[first].some(({ type }) => type === "prefilled"), "the first prefill");
  // The second is read while the first decodes, the third waits for blocks.
  const second = run.add(long());
  const third = run.add(long());
  await until(() => pool.usedBlocks > 80, "blocks of the second prefill");
  assert.equal(run.events[second].length, 0, "still in prefill");
  const used = pool.usedBlocks;
  loop.abort(second);
  assert.ok(pool.usedBlocks < used);
  assert.equal(loop.stats().running, 1);
  loop.abort(third);
  assert.equal(loop.stats().waiting, 0);
  loop.abort(first);
  assert.equal(pool.usedBlocks, 0);
  loop.abort(first);
  loop.abort(99);
  const { outcomes, stats } = await run.end();
  assert.deepEqual(outcomes.map(({ last }) => last.type === "finished" && last.reason), Array(3).fill("aborted"));
  assert.equal(stats.running, 0);
  // What comes afterwards finds everything as it was.
  const [after] = await runTogether(model, [long()]);
  const [expected] = await runTogether(roomy.model, [long()]);
  assert.deepEqual(after.ids, expected.ids);
});

Deno.test("a stop token that is decoded beyond the limit of tokens ends nothing", async () => {
  const { model } = roomy;
  const long = request(randomPrompt(seededRandom(7), 20), { maxTokens: 50 });
  const [{ ids }] = await runTogether(model, [long]);
  const limit = 4;
  const beyond = ids.findIndex((id, i) => i >= limit && !ids.slice(0, limit).includes(id));
  // The long one keeps the batch going, past the end of the short one.
  const [, short] = await runTogether(model, [long, { ...long, maxTokens: limit, stopTokens: [ids[beyond]] }]);
  assert.deepEqual(short.ids, ids.slice(0, limit));
  assert.deepEqual(short.last, { type: "finished", reason: "length", completionTokens: limit });
});

Deno.test("a slot keeps nothing of the sequence that had it before", async () => {
  const { model } = roomy;
  const prompt = randomPrompt(seededRandom(4), 20);
  const plain = request(prompt, { sampling: { ...GREEDY, presencePenalty: 0.5 } });
  const [expected] = await runTogether(model, [plain]);
  const biased = { ...GREEDY, repetitionPenalty: 1.9, logitBias: [{ token: expected.ids[0], bias: -100 }] };
  const [other] = await runTogether(model, [request(prompt, { sampling: biased, topLogprobs: 3, maxTokens: 30 })]);
  assert.notEqual(other.ids[0], expected.ids[0]);
  const [again] = await runTogether(model, [plain]);
  assert.deepEqual(again.tokens, expected.tokens);
});

Deno.test("TurnLoop.run() rejects when the device is lost, instead of waiting", async () => {
  const { model } = await observedModel(MODEL, { contextLength: CONTEXT });
  const run = new TestRun(model);
  const id = run.add(request([3, 4, 5], { maxTokens: 300 }));
  await until(() => run.events[id].length > 0, "the first token");
  model.gpu.destroy();
  await assert.rejects(run.end());
});

Deno.test("a short prompt overtakes a long one that is being read, and both get what they get alone", async () => {
  const { model } = await observedModel(MODEL, { contextLength: 3100, maxBatch: 4 });
  const random = seededRandom(77);
  const long = request(randomPrompt(random, 3000), { maxTokens: 3 });
  const short = request(randomPrompt(random, 20), { maxTokens: 3 });
  const [longAlone] = await runTogether(model, [long]);
  const [shortAlone] = await runTogether(model, [short]);
  const ends: number[] = [];
  const run = new TestRun(model, (id, event) => event.type === "finished" && ends.push(id));
  // The short one comes as soon as the first tile of the long one has been recorded: too late to share its pack.
  const { prefiller } = model;
  const { recordTile } = prefiller;
  prefiller.recordTile = (...given) => {
    prefiller.recordTile = recordTile;
    queueMicrotask(() => run.add(short));
    prefiller.recordTile(...given);
  };
  run.add(long);
  await until(() => run.events.length === 2, "the long prompt is being read");
  const { outcomes } = await run.end();
  assert.deepEqual(ends, [1, 0]);
  assert.deepEqual(outcomes, [longAlone, shortAlone]);
  model.gpu.destroy();
});

Deno.test("equal prompts are read once, and stored for each by its own policy", async () => {
  const { model } = await observedModel(MODEL, { contextLength: 600, maxBatch: 4 });
  const prompt = randomPrompt(seededRandom(78), 500);
  const requests = [
    request(prompt, { maxTokens: 4 }),
    request(prompt, { maxTokens: 4, kvCache: { policy: "dynamickv", budget: 64 } }),
    request(prompt, { maxTokens: 4, kvCache: { policy: "snapkv", budget: 48 } }),
    request(prompt, { maxTokens: 4, kvCache: { policy: "dynamickv", budget: 64, options: { window: 3 } } }),
  ];
  let tiles = 0;
  const { prefiller } = model;
  const recordTile = prefiller.recordTile.bind(prefiller);
  prefiller.recordTile = (...args) => {
    tiles++;
    recordTile(...args);
  };
  const together = await runTogether(model, requests);
  assert.equal(tiles, 2 * model.config.layerCount);
  for (const [i, alone] of requests.entries()) assert.deepEqual([together[i]], await runTogether(model, [alone]));
  model.gpu.destroy();
});

Deno.test("a prompt is scored by its own last queries, though the slot of who asked first has another prompt by then", async () => {
  const { model } = await observedModel(MODEL, { contextLength: 600, maxBatch: 4 });
  const random = seededRandom(79);
  const [shared, ...others] = [250, 280, 250, 280].map((length) => randomPrompt(random, length));
  const ask = (prompt: readonly number[], budget = 48) =>
    request(prompt, { maxTokens: 4, kvCache: { policy: "snapkv", budget } });
  const first = [ask(shared, 64), ask(shared), ask(others[0])];
  const later = [ask(others[1]), ask(others[2])];
  const expected = [];
  for (const single of [...first.slice(1), ...later]) expected.push(...await runTogether(model, [single]));

  // Three tiles a layer, one a turn, so that the packs' tiles take turns.
  const { record } = Pack.prototype;
  let turns = 0;
  const run = new TestRun(model);
  Pack.prototype.record = function (recorder, readback, _tiles) {
    if (turns++ === 0) {
      queueMicrotask(() => {
        run.loop.abort(0);
        for (const single of later) run.add(single);
      });
    }
    return record.call(this, recorder, readback, 1);
  };
  try {
    for (const single of first) run.add(single);
    const { outcomes } = await run.end();
    assert.deepEqual(outcomes[0].types, ["finished"]);
    const answer = ({ ids, kvCache }: Outcome) => ({ ids, kvCache });
    assert.deepEqual(outcomes.slice(1).map(answer), expected.map(answer));
  } finally {
    Pack.prototype.record = record;
  }
  model.gpu.destroy();
});
