import assert from "node:assert/strict";
import { TOKEN } from "../support/fake_text.ts";
import { readBlocks, readError, readEvents, startApp } from "./harness.ts";

const MESSAGES = [{ role: "user", content: "Hi" }];
const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";

/** Field by field: what is refused, and what the sentence about it must say. */
const REFUSED: readonly [path: string, body: object, param: string | null, message: RegExp][] = [
  [CHAT, {}, "messages", /^messages is missing; expected an array of messages$/],
  [CHAT, { messages: [] }, "messages", /^messages is \[\]; expected at least one message$/],
  [
    CHAT,
    { messages: [{ role: "robot", content: "" }] },
    "messages[0].role",
    /^messages\[0\]\.role is "robot"; expected "system"/,
  ],
  [
    CHAT,
    { messages: [{ role: "user" }] },
    "messages[0].content",
    /^messages\[0\]\.content is missing; expected a string/,
  ],
  [
    CHAT,
    { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
    "messages[0].content",
    /parts: other kinds are not supported$/,
  ],
  [
    CHAT,
    { messages: MESSAGES, temperature: -1 },
    "temperature",
    /^temperature is -1; expected a number from 0 to 100$/,
  ],
  [CHAT, { messages: MESSAGES, top_p: "high" }, "top_p", /^top_p is "high"; expected a number from 0 to 1$/],
  [CHAT, { messages: MESSAGES, top_k: 1.5 }, "top_k", /^top_k is 1\.5; expected an integer at least -1$/],
  [CHAT, { messages: MESSAGES, n: 0 }, "n", /expected an integer from 1 to 128$/],
  [CHAT, { messages: MESSAGES, max_tokens: 0 }, "max_tokens", /expected an integer at least 1$/],
  [CHAT, { messages: MESSAGES, stop: "" }, "stop", /expected a non-empty string/],
  [CHAT, { messages: MESSAGES, stop: Array(17).fill("x") }, "stop", /at most 16/],
  [CHAT, { messages: MESSAGES, logit_bias: { x: 1 } }, "logit_bias.x", /token ids and biases from -100 to 100$/],
  [CHAT, { messages: MESSAGES, logit_bias: { 5: 101 } }, "logit_bias.5", /^logit_bias\.5 is 101;/],
  [CHAT, { messages: MESSAGES, logit_bias: { 300: 1 } }, "logit_bias", /token 300; expected ids below 300$/],
  [CHAT, { messages: MESSAGES, stop_token_ids: [300] }, "stop_token_ids", /token 300; expected ids below 300$/],
  [CHAT, { messages: MESSAGES, top_logprobs: 3 }, "top_logprobs", /expected logprobs to be true beside it$/],
  [CHAT, { messages: MESSAGES, logprobs: true, top_logprobs: 21 }, "top_logprobs", /integer from 0 to 20$/],
  [CHAT, { messages: MESSAGES, tool_choice: "required" }, "tool_choice", /expected tools beside it$/],
  [
    CHAT,
    { messages: MESSAGES, response_format: { type: "json_schema" } },
    "response_format.json_schema",
    /expected an object with a schema$/,
  ],
  [CHAT, { messages: MESSAGES, min_tokens: -1 }, "min_tokens", /^min_tokens is -1; expected an integer at least 0$/],
  [
    CHAT,
    { messages: MESSAGES, min_tokens: 6, max_tokens: 5 },
    "min_tokens",
    /^min_tokens is 6; expected at most 5, which is how many tokens the reply may have$/,
  ],
  [COMPLETIONS, { prompt: "x", min_tokens: 17 }, "min_tokens", /expected at most 16/],
  [CHAT, { messages: MESSAGES, priority: "high" }, "priority", /^priority is "high"; expected an integer$/],
  [CHAT, { messages: MESSAGES, priority: 0.5 }, "priority", /^priority is 0\.5; expected an integer$/],
  [CHAT, { messages: MESSAGES, cache_salt: "" }, "cache_salt", /^cache_salt is ""; expected a string of 1 to 256 char/],
  [COMPLETIONS, { prompt: "x", cache_salt: 7 }, "cache_salt", /^cache_salt is 7; expected a string of 1 to 256 char/],
  [COMPLETIONS, { prompt: "x", cache_salt: "x".repeat(257) }, "cache_salt", /; expected a string of 1 to 256 char/],
  [CHAT, { messages: MESSAGES, kv_cache: 512 }, "kv_cache", /^kv_cache is 512; expected an object/],
  [CHAT, { messages: MESSAGES, kv_cache: { budget: 0 } }, "kv_cache.budget", /positive/],
  [CHAT, { messages: MESSAGES, kv_cache: { budget: "0%" } }, "kv_cache.budget", /above 0%/],
  [CHAT, { messages: MESSAGES, kv_cache: { budget: "101%" } }, "kv_cache.budget", /"101%"/],
  [CHAT, { messages: MESSAGES, kv_cache: { budgets: 5 } }, "kv_cache.budgets", /budgets/],
  [CHAT, { messages: MESSAGES, kv_cache: { policy: "magic" } }, "kv_cache.policy", /"magic"/],
  [CHAT, { messages: MESSAGES, kv_cache: { options: { window: "x" } } }, "kv_cache.options.window", /window/],
  [COMPLETIONS, {}, "prompt", /^prompt is missing; expected a string/],
  [COMPLETIONS, { prompt: [] }, "prompt", /^prompt is \[\]; expected/],
  [COMPLETIONS, { prompt: [1, "a"] }, "prompt", /none of them empty, and at most 1024 prompts$/],
  [COMPLETIONS, { prompt: Array(1025).fill("a") }, "prompt", /at most 1024 prompts$/],
  [COMPLETIONS, { prompt: [5, 300] }, "prompt", /token 300; expected ids below 300$/],
  [COMPLETIONS, { prompt: "x", suffix: "y" }, "suffix", /^suffix cannot be honoured: .* no tokens for infilling/],
  [COMPLETIONS, { prompt: "x", suffix: "y", echo: true }, "echo", /expected it to be absent beside suffix/],
  [COMPLETIONS, { prompt: "x", logprobs: true }, "logprobs", /expected an integer from 0 to 20$/],
  [COMPLETIONS, [] as object, null, /^The request body is \[\]; expected a JSON object$/],
];

for (const stream of [false, true]) {
  Deno.test(`a field that cannot be honoured is refused by name${stream ? ", before a stream is opened" : ""}`, async () => {
    const { post, engine } = startApp({ tokens: [TOKEN.end] });
    for (const [path, body, param, message] of REFUSED) {
      const error = await readError(await post(path, Array.isArray(body) ? body : { ...body, stream }));
      assert.match(error.message, message);
      assert.deepEqual({ ...error, message: "" }, {
        status: 400,
        message: "",
        type: "invalid_request_error",
        param,
        code: null,
      });
    }
    assert.equal(engine.generations.length, 0);
  });
}

Deno.test("values that ask for nothing unsupported, null and unknown fields are accepted", async () => {
  const { post } = startApp({ tokens: [TOKEN.end] });
  const bodies: [string, object][] = [
    [COMPLETIONS, { prompt: "x", suffix: "", best_of: 1, bad_words: [], min_tokens: 0, nonsense: { a: 1 } }],
    [COMPLETIONS, { prompt: "x", suffix: null, logprobs: null, stop: null, kv_cache: null, stream_options: null }],
    [CHAT, {
      messages: MESSAGES,
      tool_choice: "auto",
      tools: [],
      response_format: { type: "text" },
      modalities: ["text"],
    }],
    [CHAT, { messages: MESSAGES, logprobs: false, top_logprobs: 0, service_tier: "auto", store: false }],
  ];
  for (const [path, body] of bodies) assert.equal((await post(path, body)).status, 200);
});

Deno.test("a body that is no JSON is refused with a sentence", async () => {
  const { post } = startApp({ tokens: [] });
  const broken = await readError(await post(COMPLETIONS, '{"prompt": '));
  assert.equal(broken.status, 400);
  assert.equal(broken.code, "invalid_json");
  assert.match(broken.message, /^The request body is not valid JSON \(.*\); send a JSON object$/);
  assert.match((await readError(await post(COMPLETIONS, ""))).message, /^The request body is empty/);
});

Deno.test("a body is read whatever its content type says", async () => {
  const { post } = startApp({ tokens: [TOKEN.end] });
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  assert.equal((await post(COMPLETIONS, { prompt: "x" }, { headers })).status, 200);
});

Deno.test("a prompt beyond the context is refused with its length, the limit and what to do", async () => {
  const { post, engine } = startApp({ script: () => ({ tokens: [TOKEN.end] }), model: { contextLength: 20 } });
  const tooLong = await readError(await post(COMPLETIONS, { prompt: "x".repeat(20), stream: true }));
  assert.equal(tooLong.status, 400);
  assert.equal(tooLong.code, "context_length_exceeded");
  assert.equal(tooLong.param, "prompt");
  assert.equal(
    tooLong.message,
    "This model's maximum context length is 20 tokens. However, you requested 22 tokens (21 in the prompt, 1 in the " +
      "completion). Shorten the prompt",
  );
  const tooMuch = await readError(await post(COMPLETIONS, { prompt: "x".repeat(9), max_tokens: 11 }));
  assert.match(
    tooMuch.message,
    /requested 21 tokens \(10 in the prompt, 11 in the completion\). Lower max_tokens to 10/,
  );
  assert.equal((await post(COMPLETIONS, { prompt: "x".repeat(9), max_tokens: 10 })).status, 200);
  // Without max_tokens, whatever room there is.
  assert.equal((await post(COMPLETIONS, { prompt: "x".repeat(18) })).status, 200);
  assert.deepEqual(engine.requests.map((request) => request.maxTokens), [10, 1]);
});

Deno.test("an unknown model is 404 model_not_found", async () => {
  const { post } = startApp({ tokens: [] });
  for (const path of [CHAT, COMPLETIONS]) {
    const error = await readError(await post(path, { model: "gpt-9", prompt: "x", messages: MESSAGES }));
    assert.deepEqual([error.status, error.param, error.code], [404, "model", "model_not_found"]);
    assert.match(error.message, /'gpt-9' does not exist; this server serves 'fake-model'/);
  }
});

Deno.test("a template that refuses the messages is a 400 with the template's own words", async () => {
  const { post } = startApp({ tokens: [] });
  const error = await readError(await post(CHAT, { messages: [{ role: "assistant", content: "x" }], stream: true }));
  assert.deepEqual(error, {
    status: 400,
    message: "Conversations must start with the user",
    type: "invalid_request_error",
    param: "messages",
    code: "chat_template_error",
  });
});

Deno.test("a full queue is 503 with retry-after, and leaves none of several choices behind", async () => {
  const { post, engine } = startApp({ script: () => ({ tokens: [TOKEN.end], hold: "queue" }), capacity: 2 });
  const response = await post(COMPLETIONS, { prompt: "x", n: 3, stream: true });
  assert.equal(response.headers.get("retry-after"), "1");
  const error = await readError(response);
  assert.deepEqual([error.status, error.type, error.code], [503, "server_error", "queue_full"]);
  assert.deepEqual(engine.aborts, ["queue", "queue"]);
});

Deno.test("more completions than the engine ever holds are a 400, which no client repeats", async () => {
  const { post, engine } = startApp({ script: () => ({ tokens: [TOKEN.end] }), maxSequences: 5 });
  const refused = async (body: object) => {
    const { status, message, param, code } = await readError(await post(COMPLETIONS, body));
    assert.deepEqual([status, code], [400, "too_many_completions"]);
    return [param, message];
  };
  const advice = "but the server takes 5 at once: send several requests, or raise --max-queue";
  assert.deepEqual(await refused({ prompt: Array(6).fill("x") }), [
    "prompt",
    `The request asks for 6 completions, ${advice}`,
  ]);
  assert.deepEqual(await refused({ prompt: ["x", "y"], n: 3 }), [
    "n",
    `The request asks for 6 completions (3 of each of 2 prompts), ${advice}`,
  ]);
  assert.equal(engine.requests.length, 0);
  assert.equal((await post(COMPLETIONS, { prompt: "x", n: 5 })).status, 200);
});

Deno.test("a request that the engine can never run is a 400 that names the field", async () => {
  const { post } = startApp({ script: () => ({ tokens: [] }), unservable: "kv_cache.budget" });
  const error = await readError(await post(COMPLETIONS, { prompt: "x" }));
  assert.deepEqual([error.status, error.param, error.code], [400, "kv_cache.budget", "too_large"]);
});

Deno.test("an engine that is not ready is a 503 that says why", async () => {
  for (const [state, code] of [["draining", "shutting_down"], ["failed", "engine_failed"]] as const) {
    const { post, engine } = startApp({ tokens: [] });
    engine.state = state;
    const response = await post(CHAT, { messages: MESSAGES, stream: true });
    assert.equal(response.headers.get("retry-after"), "1");
    const error = await readError(response);
    assert.deepEqual([error.status, error.code], [503, code]);
  }
});

Deno.test("a failure without a stream is a 500 that is not worth a retry", async () => {
  const { post } = startApp({ tokens: [TOKEN.hello], failure: "The GPU was lost" });
  const response = await post(CHAT, { messages: MESSAGES });
  assert.equal(response.headers.get("x-should-retry"), "false");
  assert.deepEqual(await readError(response), {
    status: 500,
    message: "The GPU was lost",
    type: "server_error",
    param: null,
    code: "generation_failed",
  });
});

Deno.test("a failure within a stream is an event with the error, then [DONE]", async () => {
  const { post } = startApp({ tokens: [TOKEN.hello], failure: "The GPU was lost" });
  const blocks = await readBlocks(await post(COMPLETIONS, { prompt: "x", stream: true }));
  assert.equal(JSON.parse(blocks[0].slice("data: ".length)).choices[0].text, "Hello");
  assert.deepEqual(blocks.slice(1), [
    'data: {"error":{"message":"The GPU was lost","type":"server_error","param":null,"code":"generation_failed"}}',
    "data: [DONE]",
  ]);
});

Deno.test("when one choice fails, the others are stopped", async () => {
  const { post, engine } = startApp({
    script: (_, index) => index === 0 ? { tokens: [], failure: "Lost" } : { tokens: [TOKEN.one], hold: "prefill" },
  });
  const events = await readEvents(await post(COMPLETIONS, { prompt: "x", n: 2, stream: true }));
  assert.deepEqual(events.map((event) => event.error?.message), ["Lost"]);
  assert.deepEqual(engine.aborts, ["prefill"]);
  await engine.idle();
});

Deno.test("an unexpected error tells clients nothing and the log everything", async () => {
  const entries: any[] = [];
  const { post } = startApp({
    script: () => {
      throw new Error("secret detail");
    },
  }, { log: (entry) => entries.push(entry) });
  const response = await post(COMPLETIONS, { prompt: "x" });
  const error = await readError(response);
  assert.deepEqual([error.status, error.code], [500, "internal_error"]);
  assert.doesNotMatch(JSON.stringify(error), /secret/);
  const entry = entries.find(({ event }) => event === "internal_error");
  assert.match(entry.error, /secret detail/);
  assert.equal(entry.request_id, response.headers.get("x-request-id"));
});
