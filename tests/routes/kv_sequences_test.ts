import assert from "node:assert/strict";
import { TOKEN } from "../support/fake_text.ts";
import { readError, readEvents, startApp, until } from "./harness.ts";

Deno.test("/v1/kv/sequences tells what waits and what runs, with the rows that it holds, until it has ended", async () => {
  const tokens = [TOKEN.one, TOKEN.two, TOKEN.end];
  const { app, engine, post } = startApp({
    script: (_, index) => ({ tokens, hold: index === 0 ? "decode" : "prefill" }),
  });
  const list = async () => (await (await app.request("/v1/kv/sequences")).json()).data;
  assert.deepEqual(await list(), []);
  const headers = { "x-request-id": "mine" };
  const kv_cache = { policy: "snapkv", budget: 32 };
  const running = post("/v1/completions", { prompt: "1234567", max_tokens: 9, kv_cache }, { headers });
  await until(() => engine.generations[0]?.phase === "decode", "decoding");
  const waiting = post("/v1/completions", { prompt: "1", max_tokens: 9 });
  await until(() => engine.generations[1]?.phase === "prefill", "prefill");

  const [first, second] = await list();
  assert.ok(first.age_seconds > 0);
  const { age_seconds: _, ...told } = first;
  // The fake keeps a half and a quarter of the 8 rows of the prompt; the one token has not been fed.
  assert.deepEqual(told, {
    request_id: "mine",
    index: 0,
    state: "generating",
    prompt_tokens: 8,
    completion_tokens: 1,
    max_tokens: 9,
    policy: "snapkv",
    budget: 32,
    decode_interval: null,
    evictions: 0,
    rows_per_layer: [4, 2],
  });
  assert.deepEqual([second.state, second.rows_per_layer, second.policy], ["prompt", null, "dynamickv"]);

  for (const generation of engine.generations) generation.release();
  await Promise.all([running, waiting]);
  assert.deepEqual(await list(), []);
});

Deno.test("/v1/kv/sequences tells what the layers that have been read keep, while a prompt is being read", async () => {
  const { app, engine, post } = startApp({ tokens: [TOKEN.one], hold: "prefill", reading: [7] });
  const running = post("/v1/completions", { prompt: "1234567", kv_cache: { report: "positions" } });
  await until(() => engine.generations[0]?.phase === "prefill", "prefill");
  const { data: [{ state, rows_per_layer }] } = await (await app.request("/v1/kv/sequences")).json();
  assert.deepEqual([state, rows_per_layer], ["prompt", [7]]);
  assert.equal(engine.requests[0].kvCache.report, "positions");
  engine.generations[0].release();
  const { usage } = await (await running).json();
  // As the fake has it: every other row.
  assert.deepEqual(usage.kv_cache.positions, [[[0, 2, 4, 6]], [[0, 2]]]);
});

Deno.test("a stream that asks for positions tells rows while the prompt is read, and positions before the first token", async () => {
  const { post } = startApp({ tokens: [TOKEN.one, TOKEN.end], reading: [7] });
  const shared = { stream: true, n: 2, temperature: 1, stream_options: { include_usage: true } };
  const asked = [
    ["/v1/completions", { prompt: "1234567", ...shared }],
    ["/v1/chat/completions", { messages: [{ role: "user", content: "12" }], ...shared }],
  ] as const;
  for (const [path, body] of asked) {
    const chunks = await readEvents(await post(path, { ...body, kv_cache: { report: "positions" } }));
    const [first, second, third] = chunks;
    assert.deepEqual([first.choices, first.usage], [[], null]);
    const positions = [[[0, 1, 2, 3, 4, 5, 6]]];
    assert.deepEqual(first.kv_cache, { state: "prompt", rows_per_layer: [7], positions });
    // Of the first choice, as its usage has it in the end.
    const { kv_cache: { decode_eviction: _, ...kv_cache } } = chunks.at(-1).usage;
    assert.deepEqual([second.choices, second.kv_cache], [[], { state: "generating", ...kv_cache }]);
    assert.equal(second.kv_cache.positions.length, 2);
    assert.ok(third.choices.length === 1 && third.id === first.id, JSON.stringify(third));
    assert.equal(chunks.filter(({ kv_cache }) => kv_cache !== undefined).length, 2);

    const unasked = await readEvents(await post(path, { ...body, kv_cache: {} }));
    assert.ok(!unasked.some(({ kv_cache }) => kv_cache !== undefined));
  }
});

Deno.test("other APIs' streams have no such events, even where positions are asked for", async () => {
  const { post } = startApp({ tokens: [TOKEN.one, TOKEN.end], reading: [7] });
  const kv_cache = { report: "positions" };
  const message = { max_tokens: 8, messages: [{ role: "user", content: "12" }], stream: true, kv_cache };
  assert.doesNotMatch(await (await post("/v1/messages", message)).text(), /"state"/);
  assert.doesNotMatch(await (await post("/v1/responses", { input: "12", stream: true, kv_cache })).text(), /"state"/);
});

Deno.test("usage has positions only where they are asked for, in streams too; anything else is refused by name", async () => {
  const { post } = startApp({ tokens: [TOKEN.one] });
  const body = { messages: [{ role: "user", content: "12" }], stream: true, stream_options: { include_usage: true } };
  const usageOf = async (kv_cache: object) =>
    (await readEvents(await post("/v1/chat/completions", { ...body, kv_cache }))).at(-1).usage;
  assert.equal((await usageOf({})).kv_cache.positions, undefined);
  assert.equal((await usageOf({ report: "positions" })).kv_cache.positions.length, 2);
  const refused = await readError(await post("/v1/completions", { prompt: "1", kv_cache: { report: "rows" } }));
  assert.deepEqual([refused.status, refused.param], [400, "kv_cache.report"]);
  assert.match(refused.message, /must be "positions"/);
});
