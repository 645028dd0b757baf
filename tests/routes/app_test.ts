import assert from "node:assert/strict";
import type { LogEntry } from "../../src/routes/app.ts";
import { TOKEN } from "../support/fake_text.ts";
import { findPolicy } from "../support/policies.ts";
import { keys, readError, startApp } from "./harness.ts";

Deno.test("/health says whether requests are taken", async () => {
  const drain = new AbortController();
  const { app, engine } = startApp({ tokens: [] }, { drain: drain.signal });
  const health = async () => {
    const response = await app.request("/health");
    return [response.status, await response.json()];
  };
  assert.deepEqual(await health(), [200, { status: "ok", device: "a fake" }]);
  engine.state = "failed";
  assert.deepEqual(await health(), [503, { status: "failed" }]);
  engine.state = "ready";
  drain.abort();
  assert.deepEqual(await health(), [503, { status: "draining" }]);
});

Deno.test("/v1/models lists the served model", async () => {
  const { app } = startApp({ script: () => ({ tokens: [] }), model: { id: "org/model" } });
  const { object, data } = await (await app.request("/v1/models")).json();
  assert.equal(object, "list");
  const { created, ...model } = data[0];
  assert.ok(Number.isInteger(created));
  assert.deepEqual(model, {
    id: "org/model",
    object: "model",
    owned_by: "ebb",
    status: { value: "loaded" },
    max_model_len: 256,
    meta: {
      architecture: "llama",
      quantisation: "F16",
      n_vocab: 300,
      n_embd: 4,
      n_params: 1000,
      size: 4000,
      device: "a fake",
    },
  });
  assert.deepEqual(await (await app.request("/v1/models/org/model")).json(), data[0]);
  assert.deepEqual(await (await app.request("/v1/models/org%2Fmodel")).json(), data[0]);
  const error = await readError(await app.request("/v1/models/other"));
  assert.deepEqual([error.status, error.code], [404, "model_not_found"]);
});

Deno.test("a model's id may hold anything, a line break and a slash among it", async () => {
  const { app } = startApp({ script: () => ({ tokens: [] }), model: { id: "a\nb/c d%" } });
  const response = await app.request(`/v1/models/${encodeURIComponent("a\nb/c d%")}`);
  assert.deepEqual([response.status, (await response.json()).id], [200, "a\nb/c d%"]);
  assert.match(await (await app.request("/metrics")).text(), /model_name="a\\nb\/c d%"/);
});

Deno.test("a slash behind a path makes it no other path", async () => {
  const { app, post } = startApp({ tokens: [TOKEN.end] });
  for (const path of ["/health/", "/v1/models/", "/v1/models/fake-model/", "/metrics/", "/v1/kv/policies/"]) {
    assert.equal((await app.request(path)).status, 200, path);
  }
  assert.equal((await post("/v1/completions/", { prompt: "x" })).status, 200);
  assert.equal((await post("/v1/chat/completions/", { messages: [{ role: "user", content: "x" }] })).status, 200);
  assert.equal((await app.request("/v1/completions/")).status, 405);
});

Deno.test("/v1/kv/policies lists what kv_cache may name, with the schemas of the options", async () => {
  const { app } = startApp({ tokens: [] });
  const response = await app.request("/v1/kv/policies");
  assert.equal(response.status, 200);
  const { object, policies, scorers, allocators, decode_eviction, default: ownChoice } = await response.json();
  assert.equal(object, "list");
  // The fake's, for requests that name none.
  assert.deepEqual(ownChoice, { policy: "dynamickv", budget: 64, options: {}, decode_eviction: false });
  const named = (list: { name: string }[], name: string) => list.find((entry) => entry.name === name);
  const snapkv = named(policies, "snapkv") as Record<string, any>;
  assert.deepEqual([snapkv.scorer, snapkv.allocator, snapkv.file], ["snapkv", "uniform", null]);
  assert.match(snapkv.description, /same number of rows in every layer/);
  assert.deepEqual(Object.keys(snapkv.options.properties), ["window", "kernel", "pooling", "valueNorm"]);
  const full = named(policies, "full") as Record<string, any>;
  assert.deepEqual([full.scorer, full.allocator, full.options.properties], [null, null, {}]);
  assert.deepEqual([snapkv.decode_eviction, full.decode_eviction], [true, false]);
  const unable = scorers.filter((scorer: Record<string, unknown>) => !scorer.decode_eviction);
  assert.deepEqual(unable.map(({ name }: { name: string }) => name), ["streaming"]);
  assert.match(
    decode_eviction.description,
    /tokens between two evictions, or true for 128; or an object .* Default: as the server was told/,
  );
  // Every name listed can be used.
  for (const { name } of policies) assert.ok(findPolicy(name), name);
  for (const scorer of scorers) {
    for (const allocator of allocators) assert.ok(findPolicy(`${scorer.name}+${allocator.name}`));
  }
  for (const { name, description, options } of [...policies, ...scorers, ...allocators]) {
    assert.ok(description, name);
    assert.equal(options.type, "object");
  }
});

Deno.test("unknown paths and methods are JSON errors", async () => {
  const { app } = startApp({ tokens: [] });
  const missing = await readError(await app.request("/v1/audio/speech", { method: "POST" }));
  assert.deepEqual([missing.status, missing.message], [404, "There is no POST /v1/audio/speech here"]);
  const response = await app.request("/v1/completions");
  assert.equal(response.headers.get("allow"), "POST");
  const wrong = await readError(response);
  assert.deepEqual([wrong.status, wrong.message], [405, "/v1/completions does not take GET; use POST"]);
});

Deno.test("HEAD is answered without a body and without a generation", async () => {
  const { app, engine } = startApp({ tokens: [] });
  for (const [path, status] of [["/health", 200], ["/v1/models", 200], ["/v1/chat/completions", 405]] as const) {
    const response = await app.request(path, { method: "HEAD" });
    assert.equal(response.status, status);
    assert.equal(await response.text(), "");
  }
  assert.equal(engine.generations.length, 0);
});

Deno.test("every reply carries a request id: the client's, or one of its own", async () => {
  const { app, post } = startApp({ tokens: [TOKEN.end] });
  const paths = ["/health", "/v1/models", "/nowhere", "/v1/completions", "/metrics"];
  const ids = await Promise.all(paths.map(async (path) => (await app.request(path)).headers.get("x-request-id")));
  assert.equal(new Set(ids).size, paths.length);
  assert.ok(ids.every((id) => id));
  const headers = { "x-request-id": "mine-1" };
  for (const stream of [false, true]) {
    const response = await post("/v1/completions", { prompt: "x", stream }, { headers });
    assert.equal(response.headers.get("x-request-id"), "mine-1");
    assert.match(await response.text(), /"id":"cmpl-mine-1"/);
  }
});

Deno.test("API keys guard everything but /health", async () => {
  const { app } = startApp({ tokens: [] }, { apiKeys: keys("one", "two") });
  const ask = (path: string, authorization?: string) =>
    app.request(path, { headers: authorization ? { authorization } : {} });
  assert.equal((await ask("/health")).status, 200);
  for (const path of ["/v1/models", "/metrics", "/v1/chat/completions"]) {
    for (const authorization of [undefined, "Bearer three", "Basic one", "one"]) {
      const response = await ask(path, authorization);
      assert.equal(response.headers.get("www-authenticate"), "Bearer");
      const error = await readError(response);
      assert.deepEqual([error.status, error.type, error.code], [401, "authentication_error", "invalid_api_key"]);
    }
  }
  assert.equal((await ask("/v1/models", "Bearer one")).status, 200);
  assert.equal((await ask("/v1/models", "bearer two")).status, 200);
});

Deno.test("a body beyond the limit is refused, whether or not it states its length", async () => {
  const { app, post, engine } = startApp({ tokens: [] }, { maxBodyBytes: 100 });
  const long = JSON.stringify({ prompt: "x".repeat(100) });
  const stated = await readError(
    await post("/v1/completions", long, { headers: { "content-length": `${long.length}` } }),
  );
  assert.deepEqual([stated.status, stated.code], [413, "request_too_large"]);
  const body = new Blob([long]).stream();
  const chunked = await readError(await app.request("/v1/completions", { method: "POST", body }));
  assert.equal(chunked.status, 413);
  assert.equal(engine.generations.length, 0);
});

Deno.test("what probes and scrapers ask for every few seconds is a line of the log only if it fails", async () => {
  const entries: LogEntry[] = [];
  const drain = new AbortController();
  const options = { log: (entry: LogEntry) => entries.push(entry), drain: drain.signal, apiKeys: keys("one") };
  const { app } = startApp({ tokens: [] }, options);
  await app.request("/health");
  await app.request("/metrics", { headers: { authorization: "Bearer one" } });
  assert.deepEqual(entries, []);
  await app.request("/metrics");
  drain.abort();
  await app.request("/health");
  assert.deepEqual(entries.map(({ path, status }) => [path, status]), [["/metrics", 401], ["/health", 503]]);
});

Deno.test("each request is one line of the log, a stream's when it has ended", async () => {
  const entries: any[] = [];
  const { app, post } = startApp({ tokens: [TOKEN.hello, TOKEN.end] }, { log: (entry) => entries.push(entry) });
  await app.request("/v1/models");
  await (await post("/v1/completions", { prompt: "x", stream: true, n: 2 })).text();
  const [models, stream] = entries.map((
    { time, seconds, request_id, first_token_seconds, tokens_per_second, ...entry },
  ) => {
    assert.ok(!Number.isNaN(Date.parse(time)) && seconds >= 0 && request_id);
    const isGeneration = first_token_seconds !== undefined;
    // Tokens that come at once have no speed.
    assert.equal(first_token_seconds >= 0, isGeneration);
    assert.equal(tokens_per_second === null || tokens_per_second > 0, isGeneration);
    return entry;
  });
  assert.deepEqual(models, { level: "info", event: "request", method: "GET", path: "/v1/models", status: 200 });
  assert.deepEqual(stream, {
    level: "info",
    event: "request",
    method: "POST",
    path: "/v1/completions",
    status: 200,
    prompt_tokens: 2,
    completion_tokens: 4,
    finish_reasons: ["stop", "stop"],
    policy: "dynamickv",
    budget: 64,
    // A row in either layer of the fake's.
    rows_kept: 1,
  });
  assert.equal(entries.length, 2);
});
