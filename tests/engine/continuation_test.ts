import assert from "node:assert/strict";
import type { GenerationEvent, GenerationRequest, KvCacheChoice, Resumption } from "../../src/contract/generation.ts";
import { GREEDY } from "../../src/contract/sampling.ts";
import { Readback } from "../../src/engine/readback.ts";
import { randomPrompt, request, startTestEngine } from "../support/engine.ts";
import { seededRandom } from "../../fixtures/random.ts";
import { observedModel, runTogether, TestRun } from "../support/scheduling.ts";
import type { TinyModelOptions } from "../../fixtures/tiny_model.ts";

const MODEL: TinyModelOptions = { architecture: "llama", seed: 61, layers: 3, keyGains: [1, 0.3, 1.6] };
const { model } = await observedModel(MODEL, { contextLength: 400, maxBatch: 4 });
const PROMPT = randomPrompt(seededRandom(1), 200);
const COMPRESSED: KvCacheChoice = { policy: "dynamickv", budget: 24 };

/** What came between two pauses. */
interface Part {
  readonly ids: number[];
  readonly logprobs: (number | undefined)[];
  readonly logits: Float32Array[];
  readonly last: GenerationEvent;
}

function partOf(events: readonly GenerationEvent[]): Part {
  const tokens = events.flatMap((event) => event.type === "tokens" ? event.tokens : []);
  return {
    ids: tokens.map(({ id }) => id),
    logprobs: tokens.map(({ logprob }) => logprob),
    logits: events.flatMap((event) => event.type === "logits" ? event.logits : []),
    last: events.at(-1)!,
  };
}

/** Runs resumable requests together, each with its resumptions, and ends them; returns their parts. */
async function runParts(
  requests: readonly GenerationRequest[],
  resumptions: readonly (readonly Resumption[])[],
): Promise<Part[][]> {
  const parts: Part[][] = requests.map(() => []);
  const starts = requests.map(() => 0);
  const run: TestRun = new TestRun(model, (id, { type }) => {
    if (type !== "paused") return;
    const next = resumptions[id][parts[id].length];
    parts[id].push(partOf(run.events[id].slice(starts[id])));
    starts[id] = run.events[id].length;
    // Events are messages: what they lead to comes later.
    queueMicrotask(() => next ? run.loop.resume(id, next) : run.loop.abort(id));
  });
  for (const single of requests) run.add(single);
  const { stats } = await run.end();
  assert.equal(stats.blocksUsed, 0);
  assert.equal(stats.running, 0);
  return parts;
}

const resumable = (changes: Partial<GenerationRequest> = {}) => request(PROMPT, { resumableTokens: 150, ...changes });

const forced = (
  tokens: readonly number[],
  { rewind = true, maxTokens = 8, logitsFrom }: { rewind?: boolean; maxTokens?: number; logitsFrom?: number } = {},
): Resumption => ({ rewind, continuation: { tokens: Uint32Array.from(tokens), logitsFrom }, maxTokens });

function logSoftmax(logits: Float32Array, token: number): number {
  const most = Math.max(...logits);
  return logits[token] - most - Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
}

const argMax = (values: Float32Array) => values.indexOf(Math.max(...values));

Deno.test("with a full cache, tokens fed behind a prompt count as if they were part of it", async () => {
  for (const split of [1, 100, 168, 199, 200]) {
    const continuation = { tokens: Uint32Array.from(PROMPT.slice(split)) };
    const [whole, fed] = await runTogether(model, [
      request(PROMPT, { maxTokens: 12 }),
      request(PROMPT.slice(0, split), { maxTokens: 12, continuation }),
    ]);
    assert.deepEqual(fed.ids, whole.ids, `split at ${split}`);
    assert.equal(fed.kvCache!.promptRows, split);
    assert.deepEqual(fed.last, { type: "finished", reason: "length", completionTokens: 12 });
  }
});

for (
  const [name, sampling] of Object.entries({
    greedily: GREEDY,
    "with penalties": { ...GREEDY, temperature: 0.8, seed: 5, frequencyPenalty: 0.7, repetitionPenalty: 1.4 },
  })
) {
  Deno.test(`a compressed sequence that is fed its own answer goes on as it did, drawing ${name}`, async () => {
    const free = request(PROMPT, { maxTokens: 60, kvCache: COMPRESSED, sampling });
    const [{ ids }] = await runTogether(model, [free]);
    for (const count of [1, 2, 33, 59]) {
      const continuation = { tokens: Uint32Array.from(ids.slice(0, count)) };
      const [fed] = await runTogether(model, [{ ...free, continuation, maxTokens: 60 - count }]);
      assert.deepEqual(fed.ids, ids.slice(count), `${count} tokens`);
    }
  });
}

Deno.test("given tokens stop nothing, and a stop token behind them does", async () => {
  const [{ ids }] = await runTogether(model, [request(PROMPT, { maxTokens: 20 })]);
  const stop = ids[10];
  const first = ids.indexOf(stop);
  const continuation = { tokens: Uint32Array.from([...ids.slice(0, first), stop]) };
  const [fed] = await runTogether(model, [request(PROMPT, { maxTokens: 5, stopTokens: [stop], continuation })]);
  const rest = ids.slice(first + 1);
  const next = rest.indexOf(stop);
  assert.deepEqual(fed.ids, next >= 0 && next < 5 ? rest.slice(0, next + 1) : rest.slice(0, 5));
});

Deno.test("reported logits are those that each given token would have been drawn from", async () => {
  const [{ ids, tokens }] = await runTogether(model, [
    request(PROMPT, { maxTokens: 40, kvCache: COMPRESSED, topLogprobs: 0 }),
  ]);
  const [[, { logits, last }]] = await runParts(
    [resumable({ maxTokens: 1, kvCache: COMPRESSED })],
    [[forced(ids, { maxTokens: 0, logitsFrom: 0 })]],
  );
  assert.deepEqual(last, { type: "paused", reason: "length", completionTokens: 0 });
  assert.equal(logits.length, 39, "all but the first");
  logits.forEach((row, i) => {
    assert.equal(row.length, model.config.vocabularySize);
    assert.equal(argMax(row), ids[i + 1]);
    // The kernel adds 320 exponentials in f32.
    assert.ok(Math.abs(logSoftmax(row, ids[i + 1]) - tokens[i + 1].logprob!) < 1e-4, `token ${i + 1}`);
  });
});

Deno.test("a rewound sequence is as if it had never gone on, whatever runs beside it", async () => {
  const other = randomPrompt(seededRandom(2), 45);
  const fresh = async (kvCache: KvCacheChoice, maxTokens: number) => {
    const continuation = { tokens: Uint32Array.from(other) };
    const [{ ids }] = await runTogether(model, [request(PROMPT, { kvCache, continuation, maxTokens })]);
    return ids;
  };
  const full = request(PROMPT).kvCache;
  const choices = [full, COMPRESSED, { policy: "streaming", budget: 40 }, { policy: "adakv", budget: 40 }];
  // They pause at different times, in the middle of submits.
  const parts = await runParts(
    choices.map((kvCache, i) => resumable({ kvCache, maxTokens: [3, 37, 1, 70][i] })),
    choices.map((_, i) => [
      forced(other, { maxTokens: 5 + i, logitsFrom: i }),
      forced(other.slice(0, 1), { maxTokens: 0 }),
      forced(other, { maxTokens: 30, logitsFrom: 40 }),
    ]),
  );
  for (const [i, kvCache] of choices.entries()) {
    const expected = await fresh(kvCache, 30);
    const [first, second, third, fourth] = parts[i];
    assert.equal(first.ids.length, [3, 37, 1, 70][i]);
    assert.deepEqual(second.ids, expected.slice(0, 5 + i));
    assert.equal(second.logits.length, 45 - Math.max(1, i));
    assert.deepEqual(third.ids, []);
    assert.deepEqual(fourth.ids, expected);
    // Batches of other sizes sum in another order.
    second.logits.slice(-5).forEach((row, token) =>
      row.forEach((logit, i) => assert.ok(Math.abs(logit - fourth.logits[token][i]) < 1e-4, `token ${token}`))
    );
    assert.equal(fourth.logits.length, 5);
  }
});

Deno.test("a sequence that is resumed without rewinding keeps its answer, the stop token included", async () => {
  const turn = randomPrompt(seededRandom(3), 20);
  for (const kvCache of [request(PROMPT).kvCache, COMPRESSED]) {
    const [{ ids }] = await runTogether(model, [request(PROMPT, { kvCache, maxTokens: 30 })]);
    const stopTokens = [ids[9]];
    const answer = ids.slice(0, ids.indexOf(ids[9]) + 1);
    const tokens = Uint32Array.from([...answer, ...turn]);
    const [expected] = await runTogether(model, [request(PROMPT, { kvCache, continuation: { tokens }, maxTokens: 9 })]);
    const [[first, second]] = await runParts(
      [resumable({ kvCache, maxTokens: 30, stopTokens })],
      [[{ ...forced(turn, { rewind: false, maxTokens: 9, logitsFrom: 0 }) }]],
    );
    assert.deepEqual(first.ids, answer);
    assert.deepEqual(first.last, { type: "paused", reason: "stop", completionTokens: answer.length });
    const stop = expected.ids.indexOf(ids[9]);
    assert.deepEqual(second.ids, stop >= 0 ? expected.ids.slice(0, stop + 1) : expected.ids);
    assert.equal(second.logits.length, 20);
  }
});

Deno.test("a sequence that was rewound to one given token, and drew none, goes on behind that token", async () => {
  const [first, ...rest] = randomPrompt(seededRandom(5), 6);
  const continuation = { tokens: Uint32Array.of(first, ...rest) };
  const [expected] = await runTogether(model, [request(PROMPT, { kvCache: COMPRESSED, continuation, maxTokens: 12 })]);
  const [[, , last]] = await runParts([resumable({ kvCache: COMPRESSED, maxTokens: 9 })], [[
    forced([first], { maxTokens: 0 }),
    forced(rest, { rewind: false, maxTokens: 12 }),
  ]]);
  assert.deepEqual(last.ids, expected.ids);
});

Deno.test("a submit takes no more steps than there is room for logits, and no logits are lost", async () => {
  const places = Object.getOwnPropertyDescriptor(Readback.prototype, "logitPlaces")!;
  const tokens = randomPrompt(seededRandom(4), 50);
  const all = () => runParts([1, 2, 3].map(() => resumable()), Array(3).fill([forced(tokens, { logitsFrom: 1 })]));
  const roomy = await all();
  const { copyLogits } = Readback.prototype;
  let most = 0;
  Readback.prototype.copyLogits = function (...given) {
    const place = copyLogits.apply(this, given);
    most = Math.max(most, place + 1);
    return place;
  };
  Object.defineProperty(Readback.prototype, "logitPlaces", { ...places, get: () => 7 });
  try {
    assert.deepEqual(await all(), roomy);
    assert.equal(most, 6, "two steps of three sequences");
  } finally {
    Object.defineProperty(Readback.prototype, "logitPlaces", places);
    Readback.prototype.copyLogits = copyLogits;
  }
});

Deno.test("EngineClient resumes generations and refuses what cannot be fed", async () => {
  const engine = await startTestEngine(MODEL);
  try {
    const [{ ids }] = await runTogether(model, [request(PROMPT, { maxTokens: 20 })]);
    const unknown = { tokens: Uint32Array.of(3, 320) };
    assert.throws(
      () => engine.generate(request(PROMPT, { continuation: unknown })),
      { name: "UnservableRequestError", message: "The continuation has the token 320: expected ids below 320" },
    );
    const evicting = { policy: "snapkv", budget: 24, decodeInterval: 4 };
    assert.throws(
      () => engine.generate(request(PROMPT, { kvCache: evicting, resumableTokens: 20 })),
      { message: "A generation that can be resumed must keep its rows: leave out the decode interval" },
    );
    const generation = engine.generate(request(PROMPT, { maxTokens: 4, resumableTokens: 20 }));
    const drawn: number[] = [];
    let logits = 0;
    let pauses = 0;
    for await (const event of generation.events) {
      if (event.type === "tokens") drawn.push(...event.tokens.map(({ id }) => id));
      if (event.type === "logits") logits += event.logits.length;
      if (event.type !== "paused") continue;
      if (++pauses === 2) break;
      assert.throws(() => generation.resume(forced([])), /without a token to go on with/);
      assert.throws(() => generation.resume(forced([320])), /has the token 320/);
      assert.throws(() => generation.resume(forced(ids, { maxTokens: 1 })), /up to 21 tokens: resumableTokens is 20/);
      generation.resume(forced(ids.slice(0, 6), { maxTokens: 14, logitsFrom: 2 }));
    }
    assert.deepEqual(drawn, [...ids.slice(0, 4), ...ids.slice(6)]);
    assert.equal(logits, 4);
  } finally {
    await engine.close();
  }
});
