import assert from "node:assert/strict";
import { TOKEN } from "../support/fake_text.ts";
import { startApp, until } from "./harness.ts";

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
