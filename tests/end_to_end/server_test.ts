/** @file Tiny models with random weights behind the whole program: what does not need language. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { setTimeout } from "node:timers/promises";
import { until } from "../support/engine.ts";
import { withDirectory, withFile } from "../support/files.ts";
import { runMain, TestServer } from "../support/server.ts";
import { tinyGguf, type TinyModelOptions, tinySafetensors } from "../../fixtures/tiny_model.ts";

const MODEL: TinyModelOptions = {
  architecture: "llama",
  seed: 61,
  layers: 4,
  keyGains: [1, 0.2, 1.6, 0.5],
  // Room for an answer that no machine ends before its client hangs up.
  context: 8192,
};
/** No text of this model means anything. */
const IDS = Array.from({ length: 300 }, (_, i) => 3 + (i * 37) % 280);
let server: TestServer;

/** The server outlives one test and is stopped by another. */
const BESIDE_OTHERS = { sanitizeOps: false, sanitizeResources: false };

Deno.test("serve listens on a free port", BESIDE_OTHERS, async () => {
  server = await withFile(tinyGguf(MODEL), (path) => TestServer.start(path, "--kv-budget", "64", "--max-batch", "4"));
});

Deno.test("usage tells what the cache of a request came to, in the order of the layers", async () => {
  const complete = async (kv_cache?: unknown) =>
    (await server.post("/v1/completions", { prompt: IDS, max_tokens: 4, temperature: 0, kv_cache })).usage.kv_cache;
  const full = await complete({ policy: "full" });
  assert.deepEqual(full.rows_per_layer, [300, 300, 300, 300]);
  assert.deepEqual([full.policy, full.prompt_rows, full.ratio], ["full", 300, 1]);
  assert.equal(full.bytes, full.full_bytes);
  assert.deepEqual([full.budget, full.rows_ratio], [300, 1]);

  for (const [choice, budget] of [[undefined, 64], [{ budget: 32 }, 32], [{ budget: "10%" }, 30]] as const) {
    const cache = await complete(choice);
    assert.deepEqual([cache.policy, cache.prompt_rows, cache.full_bytes], ["ebbkv", 300, full.full_bytes]);
    const rows = cache.rows_per_layer.reduce((sum: number, count: number) => sum + count);
    assert.ok(rows <= 4 * budget && rows > 4 * (budget - 16), `${cache.rows_per_layer} of ${budget}`);
    assert.equal(cache.budget, budget);
    assert.equal(cache.rows_ratio, rows / 4 / 300);
    assert.equal(cache.ratio, cache.bytes / cache.full_bytes);
    assert.ok(cache.ratio < 0.4);
  }
  const found = await complete({ budget: { mass: 0.5, max: 200 } });
  assert.deepEqual([found.mass.wanted, found.mass.max_rows], [0.5, 200]);
  assert.ok(found.budget < 200 && found.mass.kept >= 0.5);
  assert.ok(found.rows_per_layer.reduce((sum: number, count: number) => sum + count) <= 4 * found.budget);
  assert.ok((await server.metric("ebb_kv_rows_evicted_total")).every((rows) => rows > 0));
  assert.ok((await server.metric("ebb_kv_rebalances_total"))[0] > 0);
});

Deno.test("no stop token ends a reply before it has min_tokens", async () => {
  // All but the last few of the vocabulary.
  const stop_token_ids = Array.from({ length: 300 }, (_, id) => id);
  const body = { prompt: IDS, max_tokens: 40, temperature: 0, stop_token_ids, kv_cache: { policy: "full" } };
  const { usage, choices: [{ finish_reason }] } = await server.post("/v1/completions", { ...body, min_tokens: 20 });
  assert.ok(usage.completion_tokens > 20, `${usage.completion_tokens}`);
  assert.ok(["stop", "length"].includes(finish_reason));
  const { error } = await server.post("/v1/completions", { ...body, min_tokens: 41 });
  assert.equal(error.param, "min_tokens");
});

Deno.test("a prompt that begins like an earlier one is found, and usage and metrics say how much of it", async () => {
  const complete = async (prompt: readonly number[], policy: string, cache_salt?: string) => {
    const body = { prompt, max_tokens: 4, temperature: 0, kv_cache: { policy }, cache_salt };
    const { usage: { prompt_tokens_details }, choices: [{ text }] } = await server.post("/v1/completions", body);
    return { ...prompt_tokens_details, text };
  };
  // Nobody else begins so.
  const document = IDS.toReversed();
  const first = await complete([...document, 5, 6, 7], "dynamickv");
  assert.equal(first.cached_tokens, 0);
  const [hits] = await server.metric("ebb_prefix_cache_hits_total");
  assert.deepEqual(await complete([...document, 5, 6, 7], "dynamickv"), { ...first, cached_tokens: 288 });
  assert.equal((await complete([...document, 8, 9], "full")).cached_tokens, 288);
  assert.equal((await complete([...document, 8, 9], "h2o")).cached_tokens, 0);
  assert.deepEqual(await server.metric("ebb_prefix_cache_hits_total"), [hits + 2 * 288]);
  for (const cached_tokens of [0, 288]) {
    assert.deepEqual(await complete([...document, 5, 6, 7], "dynamickv", "salt"), { ...first, cached_tokens });
  }
  // 18 blocks of 4 layers at least.
  assert.ok((await server.metric("ebb_kv_blocks_cached"))[0] >= 18 * 4);
  await server.untilIdle();
});

Deno.test("a client that disconnects gives its blocks back, in the queue, in prefill and while decoding", async () => {
  await server.untilIdle();
  const body = JSON.stringify({ prompt: IDS, max_tokens: 7500, stream: true, ignore_eos: true });
  const clients = Array.from({ length: 12 }, () => new AbortController());
  const streams = clients.map(({ signal }) =>
    fetch(`${server.url}/v1/completions`, { method: "POST", body, signal }).then((reply) => reply.text())
  );
  const outcomes = Promise.allSettled(streams);
  await until(async () => (await server.metric("ebb_kv_blocks_used"))[0] > 0, "blocks in use");
  for (const client of clients) {
    client.abort();
    await setTimeout(15);
  }
  for (const { status } of await outcomes) assert.equal(status, "rejected");
  await server.untilIdle();
});

Deno.test("what a request gets does not depend on the others that run at once", async () => {
  const bodies = Array.from({ length: 10 }, (_, i) => ({
    prompt: IDS.slice(0, 20 + 25 * i),
    max_tokens: 16,
    temperature: i % 2,
    seed: i,
    logprobs: 0,
    kv_cache: { policy: i % 3 === 0 ? "full" : "dynamickv", budget: 40 },
  }));
  const complete = async (body: unknown) => {
    const { choices: [{ text, logprobs }], usage: { kv_cache } } = await server.post("/v1/completions", body);
    return { text, tokens: logprobs.tokens, kv_cache };
  };
  const together = await Promise.all(bodies.map(complete));
  for (const [i, body] of bodies.entries()) assert.deepEqual(await complete(body), together[i], `request ${i}`);
});

Deno.test("what can never be served is refused with a sentence, and the server goes on", async () => {
  const refusals: [unknown, RegExp][] = [
    [{ prompt: IDS, max_tokens: 1e9 }, /maximum context length is 8192 tokens/],
    [{ prompt: [320], max_tokens: 1 }, /prompt holds token 320; expected ids below 320/],
    [{ prompt: IDS, kv_cache: { policy: "best" } }, /Unknown KV cache policy "best"/],
    [{ prompt: IDS, kv_cache: { budget: -1 } }, /Invalid kv_cache.budget/],
    [{ prompt: IDS, kv_cache: { options: { window: 0 } } }, /Invalid kv_cache.options.window 0/],
    [{ prompt: "x ".repeat(50_000), max_tokens: 1 }, /maximum context length is 8192 tokens/],
    [{ prompt: [] }, /prompt is \[\]; expected a string/],
    [{ prompt: IDS, max_tokens: 2, logit_bias: { 320: 1 } }, /logit_bias holds token 320; expected ids below 320/],
  ];
  for (const [body, message] of refusals) {
    const { error } = await server.post("/v1/completions", body);
    assert.match(error.message, message);
    assert.equal(error.type, "invalid_request_error");
  }
  assert.equal((await fetch(`${server.url}/health`).then((reply) => reply.json())).status, "ok");
});

Deno.test("unicode prompts come through, and streamed text never holds half a character", async () => {
  for (const prompt of ["Grüße, 世界 😀", "\u0000\u0007\n\t", "🦊".repeat(40), "e\u0301\u200d\ufeff"]) {
    const body = { prompt, max_tokens: 40, temperature: 1, seed: 3, ignore_eos: true };
    const whole = await server.post("/v1/completions", body);
    const reply = await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ ...body, stream: true }),
    });
    const events = (await reply.text()).split("\n\n").filter((event) => event.startsWith("data: {"));
    const pieces = events.map((event) => JSON.parse(event.slice("data: ".length)).choices[0].text as string);
    assert.equal(pieces.join(""), whole.choices[0].text);
    assert.ok(pieces.every((piece) => piece.isWellFormed()));
  }
});

/** Sends a request and hangs up at once. */
async function hangUp(body: string): Promise<void> {
  const { hostname, port } = new URL(server.url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const head = `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n`;
  await connection.write(new TextEncoder().encode(head + body));
}

Deno.test("a client that hangs up before its request has been read is no error of the server", async () => {
  const replies = async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return text.split("\n").filter((line) =>
      line.startsWith("ebb_http_requests_total") && /status="(499|5..)"/.test(line)
    );
  };
  // Long enough that no answer is done before anybody notices.
  const body = JSON.stringify({ prompt: IDS.slice(0, 20), max_tokens: 400, min_tokens: 400, n: 8 });
  for (let i = 0; i < 10; i++) await hangUp(body);
  await until(async () => (await replies()).length > 0, "a request that was given up");
  await server.untilIdle();
  assert.deepEqual((await replies()).filter((line) => !line.includes('status="499"')), []);
});

Deno.test("the server of these tests has lost nothing, and stops", BESIDE_OTHERS, async () => {
  await server.untilIdle();
  const { code, stderr } = await server.stop();
  assert.equal(code, 0, stderr);
  assert.ok(!stderr.includes('"level":"error"'), stderr);
});

Deno.test("a Hugging Face directory is served like a GGUF file with the same weights", async () => {
  const options: TinyModelOptions = { architecture: "qwen2", seed: 62 };
  const body = { prompt: IDS.slice(0, 30), max_tokens: 12, temperature: 0, logprobs: 0 };
  const fromDirectory = await withDirectory(tinySafetensors(options), async (directory) => {
    const server = await TestServer.start(directory, "--model-id", "tiny");
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
    const { choices } = await client.completions.create({ model: "tiny", ...body });
    const chat = await client.chat.completions.create({
      model: "tiny",
      messages: [{ role: "user", content: "Hello" }],
      max_completion_tokens: 5,
    });
    assert.equal(chat.usage!.completion_tokens, 5);
    assert.equal((await server.stop()).code, 0);
    return choices[0];
  });
  const fromFile = await withFile(tinyGguf(options), async (path) => {
    const server = await TestServer.start(path);
    const { choices } = await server.post("/v1/completions", body);
    const { code, stderr } = await server.stop();
    assert.equal(code, 0);
    assert.match(stderr, /^model {5}.*: qwen2, /m);
    assert.match(stderr, new RegExp(`^try {7}curl ${server.url}/`, "m"));
    assert.match(stderr, /"policy":"ebbkv","budget":1024,"rows_kept":30,"first_token_seconds":/);
    return choices[0];
  });
  assert.equal(fromDirectory.text, fromFile.text);
  assert.equal(fromDirectory.finish_reason, fromFile.finish_reason);
  assert.deepEqual(fromDirectory.logprobs!.token_logprobs, fromFile.logprobs.token_logprobs);
});

Deno.test("generate compresses a long prompt and says what was kept", async () => {
  await withFile(tinyGguf(MODEL), async (path) => {
    const { code, stdout, stderr } = await runMain(
      ...["generate", "--model", path, "--prompt", "z".repeat(200), "--max-tokens", "5", "--kv-budget", "32"],
    );
    assert.equal(code, 0, stderr);
    assert.ok(stdout.endsWith("\n"));
    const [, prompt, rows] = /^KV rows kept per layer \(ebbkv\), of (\d+): ([\d .]+)$/m.exec(stderr)!;
    assert.ok(Number(prompt) >= 100, prompt);
    const kept = rows.split(" ").map(Number);
    assert.equal(kept.length, 4);
    assert.ok(kept.reduce((sum, count) => sum + count) <= 4 * 32, rows);
  });
});
