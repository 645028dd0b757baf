/** @file `/v1/embeddings` of a server without an encoder: the model that generates makes the vectors. */
import assert from "node:assert/strict";
import { PromptEncoder } from "../../../src/routes/generation/prompt_encoder.ts";
import { FakeEngine } from "../../support/fake_engine.ts";
import { byteTokens, fakeText, TOKEN } from "../../support/fake_text.ts";
import { readError, startApp } from "../harness.ts";

/** The fake engine's vectors are the first four tokens; scaled to length 1, as they are told. */
function unit(...tokens: number[]): number[] {
  const padded = [...tokens, 0, 0, 0].slice(0, 4);
  const length = Math.hypot(...padded);
  return padded.map((token) => Math.fround(token / length));
}

Deno.test("texts get the model's vectors, pooled as it says, with the tokens that the model puts around texts", async () => {
  const { post, engine } = startApp({ script: () => ({ tokens: [] }), model: { pooling: "mean" } });
  const reply = await (await post("/v1/embeddings", { input: ["ab", "c"], model: "fake-model" })).json();
  assert.deepEqual(reply.data.map(({ index, embedding }: any) => [index, embedding]), [
    [0, unit(TOKEN.begin, ...byteTokens("ab"))],
    [1, unit(TOKEN.begin, ...byteTokens("c"))],
  ]);
  assert.deepEqual([reply.model, reply.usage], ["fake-model", { prompt_tokens: 5, total_tokens: 5 }]);
  for (const { embed, maxTokens, kvCache } of engine.requests) {
    assert.deepEqual([embed, maxTokens, kvCache.policy], ["mean", 0, "full"]);
  }
  const ids = await (await post("/v1/embeddings", { input: [7, 8, 9], dimensions: 2 })).json();
  assert.deepEqual(ids.data[0].embedding, unit(7, 8).slice(0, 2));
  assert.equal(ids.usage.prompt_tokens, 3);
});

Deno.test("truncated texts lose their ends, but not the token that ends them", async () => {
  const { post, engine: asked } = startApp({ tokens: [] });
  const ask = (body: object) => post("/v1/embeddings", { truncate_prompt_tokens: 4, ...body });
  await ask({ input: "abcdef" });
  await ask({ input: [1, 2, 3, 4, 5, TOKEN.end] });
  await post("/v1/embeddings", { input: Array(300).fill(5), truncate_prompt_tokens: -1 });
  const [text, ids, most] = asked.requests.map(({ prompt }) => [...prompt]);
  assert.deepEqual(text, [TOKEN.begin, ...byteTokens("abc")]);
  assert.deepEqual(ids, [1, 2, 3, 4]);
  assert.equal(most.length, 256);

  const engine = new FakeEngine({ script: () => ({ tokens: [] }) });
  const encoder = new PromptEncoder({
    engine,
    text: { ...fakeText, encode: async (given) => Uint32Array.of(...await fakeText.encode(given), TOKEN.end) },
  });
  const [{ tokens }] = await encoder.embed(["abcdef"], { field: "input", truncate: 4 });
  assert.deepEqual([...engine.requests[0].prompt], [TOKEN.begin, ...byteTokens("ab"), TOKEN.end]);
  assert.equal(tokens, 4);
});

const REFUSED: readonly [body: unknown, status: number, message: RegExp, param: string][] = [
  [{ input: "x", model: "other" }, 404, /^The model 'other' does not exist; this server serves 'fake-model'$/, "model"],
  [{ input: [300] }, 400, /^input holds token 300; expected ids below 300$/, "input"],
  [{ input: "x", dimensions: 5 }, 400, /^dimensions is 5; expected at most 4, which fake-model has$/, "dimensions"],
  [{ input: ["x", "y".repeat(256)] }, 400, /^input\[1\] has 257 tokens, and the model reads at most 256: /, "input[1]"],
  [{ input: Array(257).fill(1) }, 400, /^input has 257 tokens, .* or set truncate_prompt_tokens$/, "input"],
];

for (const [body, status, message, param] of REFUSED) {
  Deno.test(`without an encoder, ${JSON.stringify(body).slice(0, 40)} is refused by name`, async () => {
    const { post } = startApp({ tokens: [] });
    const error = await readError(await post("/v1/embeddings", body));
    assert.match(error.message, message);
    assert.deepEqual([error.status, error.param], [status, param]);
  });
}

Deno.test("of many texts the engine has a few at once, and when one fails the others are given up", async () => {
  let live = 0;
  let most = 0;
  const { post, engine } = startApp({
    script: (_, index) => {
      most = Math.max(most, ++live);
      return { tokens: [], ...index === 40 && { failure: "The GPU is lost" } };
    },
  });
  const { generate } = engine;
  engine.generate = (request) => {
    const generation = generate.call(engine, request);
    generation.ended.then(() => live--);
    return generation;
  };
  const { status, code, message } = await readError(await post("/v1/embeddings", { input: Array(100).fill("x") }));
  assert.deepEqual([status, code, message], [500, "generation_failed", "The GPU is lost"]);
  await engine.idle();
  assert.ok(most > 1 && most <= 16, `${most} at once`);
  assert.ok(engine.requests.length < 100);
});

Deno.test("a full queue, and an engine that takes nothing, are told as they are", async () => {
  const full = startApp({ script: () => ({ tokens: [] }), capacity: 0 });
  assert.equal((await readError(await full.post("/v1/embeddings", { input: "x" }))).code, "queue_full");
  const restarting = startApp({ tokens: [] });
  restarting.engine.state = "restarting";
  const { status, code } = await readError(await restarting.post("/v1/embeddings", { input: "x" }));
  assert.deepEqual([status, code], [503, "engine_restarting"]);
});

for (const hold of ["queue", "prefill"] as const) {
  Deno.test(`an embedding whose time is over in ${hold} gets a 504, and its sequence ends`, async () => {
    const { post, engine } = startApp({ tokens: [], hold }, { requestTimeoutSeconds: 0.02 });
    const { status, code } = await readError(await post("/v1/embeddings", { input: "x" }));
    assert.deepEqual([status, code], [504, "request_timeout"]);
    await engine.idle();
    assert.deepEqual(engine.aborts, [hold]);
  });
}

Deno.test("a server that stops says so to those who wait for vectors", async () => {
  const shutdown = new AbortController();
  const { post, engine } = startApp({ tokens: [], hold: "prefill" }, { shutdown: shutdown.signal });
  const reply = post("/v1/embeddings", { input: "x" });
  while (engine.generations.length === 0) await new Promise((resolve) => setTimeout(resolve));
  shutdown.abort();
  assert.equal((await readError(await reply)).code, "shutting_down");
  await engine.idle();
});
