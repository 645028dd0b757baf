import assert from "node:assert/strict";
import OpenAI from "openai";
import type { AppOptions } from "../../src/routes/app.ts";
import { listen } from "../../src/routes/listener.ts";
import type { FakeEngineOptions, Script } from "../support/fake_engine.ts";
import { byteTokens, TOKEN } from "../support/fake_text.ts";
import { keys, startApp, until } from "./harness.ts";

const MESSAGES = [{ role: "user" as const, content: "Hi" }];
const TEXT = "Grüße, 世界 😀";
const TOKENS = [...byteTokens(TEXT), TOKEN.end];
const model = "fake-model";

/** A test with the client on one side of a socket and the application on the other. */
function withClient(
  name: string,
  behaviour: Script | FakeEngineOptions,
  body: (client: OpenAI, engine: ReturnType<typeof startApp>["engine"]) => Promise<void>,
  options: Partial<AppOptions> = {},
): void {
  Deno.test(name, async () => {
    const { app, engine } = startApp(behaviour, options);
    const drain = new AbortController();
    const server = await listen(app, { port: 0, drain: drain.signal, shutdown: new AbortController() });
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "key", maxRetries: 0 });
    try {
      await body(client, engine);
    } finally {
      drain.abort();
      await server.finished;
    }
  });
}

withClient("openai lists and retrieves models", { tokens: [] }, async (client) => {
  const ids = [];
  for await (const { id } of client.models.list()) ids.push(id);
  assert.deepEqual(ids, [model]);
  assert.equal((await client.models.retrieve(model)).object, "model");
  await assert.rejects(client.models.retrieve("other"), OpenAI.NotFoundError);
});

withClient(
  "openai gets the same chat reply streamed, not streamed and through its helper",
  { tokens: TOKENS },
  async (client) => {
    const whole = await client.chat.completions.create({ model, messages: MESSAGES });
    assert.equal(whole.choices[0].message.content, TEXT);
    assert.equal(whole.choices[0].finish_reason, "stop");

    let streamed = "";
    let usage;
    const stream = await client.chat.completions.create({
      model,
      messages: MESSAGES,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      streamed += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(streamed, TEXT);
    assert.deepEqual(usage, whole.usage);

    const helper = client.chat.completions.stream({ model, messages: MESSAGES, n: 2, logprobs: true, top_logprobs: 2 });
    const final = await helper.finalChatCompletion();
    assert.deepEqual(final.choices.map(({ message }) => message.content), [TEXT, TEXT]);
    assert.deepEqual(final.choices.map((choice) => choice.logprobs!.content!.length), [
      TOKENS.length - 1,
      TOKENS.length - 1,
    ]);
  },
);

withClient("openai is told what was used in every chunk", { tokens: TOKENS }, async (client) => {
  // vLLM's field, which the client's types do not have.
  const options: object = { include_usage: true, continuous_usage_stats: true };
  const fields = { model, max_tokens: 100, stream: true as const, stream_options: options };
  for (
    const stream of [
      await client.chat.completions.create({ ...fields, messages: MESSAGES }),
      await client.completions.create({ ...fields, prompt: "x" }),
    ]
  ) {
    const counts: number[] = [];
    for await (const { usage } of stream) {
      assert.equal(usage!.total_tokens, usage!.prompt_tokens + usage!.completion_tokens);
      counts.push(usage!.completion_tokens);
    }
    assert.deepEqual(counts, counts.toSorted((a, b) => a - b));
    assert.deepEqual([counts[0] <= 1, counts.at(-1)], [true, TOKENS.length]);
  }
});

withClient("openai gets the same completion streamed and not", { tokens: TOKENS }, async (client) => {
  const whole = await client.completions.create({ model, prompt: "x", max_tokens: 100 });
  assert.equal(whole.choices[0].text, TEXT);
  let streamed = "";
  for await (const chunk of await client.completions.create({ model, prompt: "x", max_tokens: 100, stream: true })) {
    streamed += chunk.choices[0].text;
  }
  assert.equal(streamed, TEXT);
});

withClient(
  "openai gets at least min_tokens, which no stop string ends, streamed and not",
  { tokens: [...byteTokens("one two, one two, one"), TOKEN.end] },
  async (client, engine) => {
    // A string ends the reply where it ends behind so many tokens: the first comma is the eighth token.
    const ends: readonly (readonly [number, string])[] = [[0, "one two"], [7, "one two"], [8, "one two, one two"]];
    for (const [min_tokens, text] of ends) {
      const fields = { model, prompt: "x", max_tokens: 100, stop: ",", min_tokens };
      const whole = await client.completions.create(fields);
      assert.equal(whole.choices[0].text, text);
      assert.equal(whole.usage!.completion_tokens, text.length + 1);
      let streamed = "";
      for await (const chunk of await client.completions.create({ ...fields, stream: true })) {
        streamed += chunk.choices[0].text;
      }
      assert.equal(streamed, text);
      assert.equal(engine.requests.at(-1)!.minTokens ?? 0, min_tokens);
    }
    const chat = { model, messages: MESSAGES, stop: ["wo, o"], min_tokens: 8, priority: 9 };
    const { choices } = await client.chat.completions.create(chat);
    assert.equal(choices[0].message.content, "one t", "it ends behind the eighth token");
    assert.equal(engine.requests.at(-1)!.priority, 9);
    const refused = await client.chat.completions.create({ ...chat, max_tokens: 7 }).catch((error) => error);
    assert.ok(refused instanceof OpenAI.BadRequestError);
    assert.equal(refused.param, "min_tokens");
  },
);

withClient("openai skips keep-alive comments", { tokens: TOKENS, hold: "prefill" }, async (client, engine) => {
  const stream = await client.chat.completions.create({ model, messages: MESSAGES, stream: true });
  setTimeout(() => engine.generations[0].release(), 20);
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
  assert.equal(text, TEXT);
}, { keepAliveMilliseconds: 2 });

withClient("openai throws errors of the right class, with field and code", {
  script: () => ({ tokens: TOKENS }),
  capacity: 0,
}, async (client) => {
  const bad: any = await client.chat.completions.create({ model, messages: MESSAGES, temperature: -1 }).catch((error) =>
    error
  );
  assert.ok(bad instanceof OpenAI.BadRequestError);
  assert.equal(bad.param, "temperature");
  const unknown: any = await client.completions.create({ model: "other", prompt: "x" }).catch((error) => error);
  assert.ok(unknown instanceof OpenAI.NotFoundError);
  assert.equal(unknown.code, "model_not_found");
  const long: any = await client.completions.create({ model, prompt: "x".repeat(999) }).catch((error) => error);
  assert.equal(long.code, "context_length_exceeded");
  const full: any = await client.completions.create({ model, prompt: "x", stream: true }).catch((error) => error);
  assert.ok(full instanceof OpenAI.InternalServerError);
  assert.equal(full.status, 503);
  assert.equal(full.code, "queue_full");
});

withClient("openai must send a key where one is asked for", { tokens: TOKENS }, async (client) => {
  await assert.rejects(client.models.list(), OpenAI.AuthenticationError);
  const { data } = await client.withOptions({ apiKey: "right" }).models.list();
  assert.equal(data[0].id, model);
}, { apiKeys: keys("right") });

withClient(
  "openai throws what failed within a stream",
  { tokens: [TOKEN.hello], failure: "The GPU was lost" },
  async (client) => {
    const stream = await client.chat.completions.create({ model, messages: MESSAGES, stream: true });
    const seen: unknown[] = [];
    const error: any = await (async () => {
      for await (const chunk of stream) seen.push(chunk.choices[0].delta.content);
    })().catch((error) => error);
    assert.deepEqual(seen, ["", "Hello"]);
    assert.ok(error instanceof OpenAI.APIError);
    assert.equal(error.code, "generation_failed");
    assert.match(error.message, /The GPU was lost/);
  },
);

for (const phase of ["queue", "prefill", "decode"] as const) {
  withClient(`openai aborting a stream in ${phase} stops the generation`, {
    tokens: [TOKEN.one, TOKEN.two],
    hold: phase,
  }, async (client, engine) => {
    const abort = new AbortController();
    const stream = await client.chat.completions.create({ model, messages: MESSAGES, stream: true }, {
      signal: abort.signal,
    });
    await until(() => engine.generations[0].phase === phase, phase);
    abort.abort();
    for await (const _ of stream);
    await engine.idle();
    assert.deepEqual(engine.aborts, [phase]);
  });

  withClient(`openai aborting a plain request in ${phase} stops the generation`, {
    tokens: [TOKEN.one, TOKEN.two],
    hold: phase,
  }, async (client, engine) => {
    const abort = new AbortController();
    const reply = client.chat.completions.create({ model, messages: MESSAGES }, { signal: abort.signal });
    reply.catch(() => {});
    await until(() => engine.generations[0]?.phase === phase, phase);
    abort.abort();
    await assert.rejects(reply, OpenAI.APIUserAbortError);
    await engine.idle();
    assert.deepEqual(engine.aborts, [phase]);
  });
}

withClient(
  "openai breaking off a loop stops the generation",
  { tokens: Array(200).fill(TOKEN.one), delay: 2 },
  async (client, engine) => {
    for await (const _ of await client.completions.create({ model, prompt: "x", max_tokens: 200, stream: true })) break;
    await engine.idle();
    assert.deepEqual(engine.aborts, ["decode"]);
  },
);
