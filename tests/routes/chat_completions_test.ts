import assert from "node:assert/strict";
import type { ChatTemplate } from "../../src/text/chat_template.ts";
import { fromJson } from "../../src/text/jinja/from_json.ts";
import { byteTokens, fakeChatTemplate, TOKEN } from "../support/fake_text.ts";
import { readBlocks, readError, readEvents, startApp } from "./harness.ts";

const PATH = "/v1/chat/completions";
const MESSAGES = [{ role: "user", content: "Hi" }];
/** What the fake template and tokenizer make of MESSAGES: a begin token and these bytes. */
const RENDERED = "user: Hi\nassistant:";
const PROMPT_TOKENS = 1 + RENDERED.length;

Deno.test("a chat completion has the shape of the OpenAI API", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.hello, TOKEN.world, TOKEN.end] });
  const response = await post(PATH, { model: "fake-model", messages: MESSAGES });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type")!, /^application\/json/);
  const { id, created, ...reply } = await response.json();
  assert.match(id, /^chatcmpl-/);
  assert.ok(Number.isInteger(created));
  const rows = [Math.ceil(PROMPT_TOKENS / 2), Math.ceil(PROMPT_TOKENS / 4)];
  assert.deepEqual(reply, {
    object: "chat.completion",
    model: "fake-model",
    choices: [{
      index: 0,
      message: { role: "assistant", content: "Hello world", refusal: null },
      logprobs: null,
      finish_reason: "stop",
    }],
    usage: {
      prompt_tokens: PROMPT_TOKENS,
      completion_tokens: 3,
      total_tokens: PROMPT_TOKENS + 3,
      prompt_tokens_details: { cached_tokens: 0 },
      kv_cache: {
        policy: "dynamickv",
        // That of the engine, 64, is more than there is.
        budget: PROMPT_TOKENS,
        prompt_rows: PROMPT_TOKENS,
        rows_per_layer: rows,
        rows_ratio: (rows[0] + rows[1]) / (2 * PROMPT_TOKENS),
        bytes: 8 * (rows[0] + rows[1]),
        full_bytes: 16 * PROMPT_TOKENS,
        ratio: (rows[0] + rows[1]) / (2 * PROMPT_TOKENS),
      },
    },
  });
  assert.deepEqual([...engine.requests[0].prompt], [TOKEN.begin, ...byteTokens(RENDERED)]);
});

Deno.test("a chat stream is, line by line, what clients expect", async () => {
  const { post } = startApp({ tokens: [TOKEN.hello, TOKEN.world, TOKEN.end] });
  const response = await post(PATH, { messages: MESSAGES, stream: true });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assert.equal(response.headers.get("cache-control"), "no-cache, no-transform");
  assert.equal(response.headers.get("x-accel-buffering"), "no");
  assert.ok(response.headers.get("x-request-id"));
  const blocks = await readBlocks(response);
  const { id, created } = JSON.parse(blocks[0].slice("data: ".length));
  const chunk = (delta: string, finishReason: string) =>
    `data: {"id":"${id}","object":"chat.completion.chunk","created":${created},"model":"fake-model",` +
    `"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finishReason}}]}`;
  assert.deepEqual(blocks, [
    chunk('{"role":"assistant","content":""}', "null"),
    chunk('{"content":"Hello"}', "null"),
    chunk('{"content":" world"}', "null"),
    chunk("{}", '"stop"'),
    "data: [DONE]",
  ]);
});

Deno.test("include_usage adds one chunk without choices, and null to all others", async () => {
  const { post } = startApp({ tokens: [TOKEN.hello, TOKEN.end] });
  const body = { messages: MESSAGES, stream: true, stream_options: { include_usage: true } };
  const events = await readEvents(await post(PATH, body));
  const usage = events.pop();
  assert.deepEqual(usage.choices, []);
  assert.equal(usage.usage.total_tokens, PROMPT_TOKENS + 2);
  assert.equal(usage.usage.kv_cache.policy, "dynamickv");
  assert.deepEqual(events.map((event) => event.usage), [null, null, null]);
  assert.equal(new Set([...events, usage].map((event) => event.id)).size, 1);
});

Deno.test("continuous_usage_stats has each chunk tell what its choice has come to, beside include_usage", async () => {
  const answers = [[TOKEN.hello, TOKEN.world, TOKEN.end], [TOKEN.one, TOKEN.end]];
  const { post } = startApp({ script: (_, index) => ({ tokens: answers[index % 2], delay: index % 2 }) });
  const read = async (stream_options: object, fields: object = { n: 2 }) =>
    await readEvents(await post(PATH, { messages: MESSAGES, stream: true, stream_options, ...fields }));
  const events = await read({ include_usage: true, continuous_usage_stats: true });
  const last = events.pop();
  const countOf = (completion_tokens: number) => ({
    prompt_tokens: PROMPT_TOKENS,
    completion_tokens,
    total_tokens: PROMPT_TOKENS + completion_tokens,
  });
  // The role comes before any token; what ends a choice is one that is not shown.
  for (const [index, counts] of [[0, 1, 2, 3], [0, 1, 2]].entries()) {
    const chunks = events.filter(({ choices }) => choices[0].index === index);
    assert.deepEqual(chunks.map(({ usage }) => usage), counts.map(countOf), `choice ${index}`);
  }
  assert.deepEqual([last.choices, last.usage.completion_tokens], [[], 5]);
  assert.equal(last.usage.kv_cache.policy, "dynamickv");

  // As in vLLM, it asks for nothing by itself.
  for (const options of [{ continuous_usage_stats: true }, { include_usage: false, continuous_usage_stats: true }]) {
    assert.deepEqual((await read(options)).filter((event) => "usage" in event), []);
  }
  const cache = await read({ include_usage: true, continuous_usage_stats: true }, {
    kv_cache: { report: "positions" },
  });
  assert.deepEqual(cache.find((event) => "kv_cache" in event).usage, countOf(0));
  const body = { messages: MESSAGES, stream: true, stream_options: { continuous_usage_stats: 1 } };
  const { status, param } = await readError(await post(PATH, body));
  assert.deepEqual([status, param], [400, "stream_options.continuous_usage_stats"]);
});

Deno.test("a choice without text still has a role and an end", async () => {
  const { post } = startApp({ tokens: [TOKEN.end] });
  const events = await readEvents(await post(PATH, { messages: MESSAGES, stream: true }));
  assert.deepEqual(events.map(({ choices }) => choices[0].delta), [{ role: "assistant", content: "" }, {}]);
});

Deno.test("each of n choices has a role, an end, and a seed of its own", async () => {
  const { post, engine } = startApp({
    script: (_, index) => ({ tokens: [index === 0 ? TOKEN.one : TOKEN.two, TOKEN.hello], delay: index }),
  });
  const body = { messages: MESSAGES, n: 2, seed: -2, max_tokens: 2 };
  const events = await readEvents(await post(PATH, { ...body, stream: true }));
  for (const [index, word] of [" one", " two"].entries()) {
    const choices = events.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
    assert.deepEqual(choices.map(({ delta }) => delta), [
      { role: "assistant", content: "" },
      { content: word },
      { content: "Hello" },
      {},
    ]);
    assert.deepEqual(choices.map((choice) => choice.finish_reason), [null, null, null, "length"]);
  }
  assert.deepEqual(engine.requests.map(({ sampling }) => sampling.seed), [2 ** 32 - 2, 2 ** 32 - 1]);
});

Deno.test("usage of several choices counts the prompt once and all tokens", async () => {
  const { post } = startApp({ tokens: [TOKEN.one, TOKEN.two], cachedTokens: 3 });
  const { choices, usage } = await (await post(PATH, { messages: MESSAGES, n: 3, max_tokens: 2 })).json();
  assert.deepEqual(choices.map((choice: any) => choice.index), [0, 1, 2]);
  assert.equal(usage.prompt_tokens, PROMPT_TOKENS);
  assert.equal(usage.completion_tokens, 6);
  assert.deepEqual(usage.prompt_tokens_details, { cached_tokens: 3 });
});

Deno.test("fields that are absent get OpenAI's defaults where the model recommends nothing, and a reply may fill the context", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.end] });
  await post(PATH, { messages: MESSAGES, temperature: null });
  const { seed, ...sampling } = engine.requests[0].sampling;
  assert.ok(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32);
  assert.deepEqual(sampling, {
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    frequencyPenalty: 0,
    presencePenalty: 0,
    repetitionPenalty: 1,
    logitBias: [],
  });
  assert.equal(engine.requests[0].maxTokens, 256 - PROMPT_TOKENS);
  assert.deepEqual(engine.requests[0].stopTokens, [TOKEN.end, TOKEN.turnEnd]);
  assert.equal(engine.requests[0].topLogprobs, undefined);
  assert.deepEqual(engine.requests[0].kvCache, engine.defaultKvCache);
});

Deno.test("fields that are absent get what the model recommends; fields that are given win", async () => {
  const { post, engine } = startApp({
    script: () => ({ tokens: [TOKEN.end] }),
    model: { sampling: { temperature: 0.6, topK: 20, topP: 0.95, minP: 0.05, repetitionPenalty: 1.05 } },
  });
  await post(PATH, { messages: MESSAGES, top_p: null });
  await post(PATH, { messages: MESSAGES, temperature: 0, top_k: -1, top_p: 1, min_p: 0, repetition_penalty: 1 });
  const sampled = engine.requests.map((
    { sampling: { temperature, topK, topP, minP, repetitionPenalty } },
  ) => [temperature, topK, topP, minP, repetitionPenalty]);
  assert.deepEqual(sampled, [[0.6, 20, 0.95, 0.05, 1.05], [0, 0, 1, 0, 1]]);
});

Deno.test("a chat without a limit takes what the memory has room for; one with a limit is not cut in silence", async () => {
  const maxTokens = async (memoryTokens: number, limit?: number) => {
    const { engine, post } = startApp({ script: () => ({ tokens: [72] }), memoryTokens });
    await (await post(PATH, { messages: MESSAGES, max_tokens: limit })).text();
    return engine.requests[0].maxTokens;
  };
  assert.equal(await maxTokens(40), 40);
  assert.equal(await maxTokens(40, 50), 50);
  // The engine refuses it, and says why.
  assert.equal(await maxTokens(0), 1);
});

Deno.test("every sampling field reaches the engine", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.end] });
  await post(PATH, {
    messages: MESSAGES,
    temperature: 0.5,
    top_k: 7,
    top_p: 0.9,
    min_p: 0.1,
    frequency_penalty: 0.3,
    presence_penalty: -0.3,
    repetition_penalty: 1.1,
    logit_bias: { "12": -100, "13": 2.5 },
    seed: 42,
    max_completion_tokens: 9,
    ignore_eos: true,
    stop_token_ids: [TOKEN.two],
    min_tokens: 4,
    priority: -3,
    logprobs: true,
    top_logprobs: 3,
    user: "somebody",
    metadata: { any: "thing" },
  });
  const { prompt: _, ...request } = engine.requests[0];
  assert.deepEqual(request, {
    maxTokens: 9,
    stopTokens: [TOKEN.two],
    minTokens: 4,
    priority: -3,
    sampling: {
      temperature: 0.5,
      topK: 7,
      topP: 0.9,
      minP: 0.1,
      frequencyPenalty: 0.3,
      presencePenalty: -0.3,
      repetitionPenalty: 1.1,
      logitBias: [{ token: 12, bias: -100 }, { token: 13, bias: 2.5 }],
      seed: 42,
    },
    topLogprobs: 3,
    kvCache: engine.defaultKvCache,
  });
});

Deno.test("kv_cache chooses policy, budget and options; what it leaves out is the server's own choice", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.end] });
  await post(PATH, { messages: MESSAGES, kv_cache: { policy: "dynamickv", budget: "6.9%", options: { window: 16 } } });
  await post(PATH, { messages: MESSAGES, kv_cache: { budget: 512 } });
  await post(PATH, { messages: MESSAGES, kv_cache: { policy: "full" } });
  const choices = engine.requests.map(({ kvCache }) => [kvCache.policy, kvCache.budget]);
  assert.deepEqual(choices, [["dynamickv", "6.9%"], ["dynamickv", 512], ["full", 64]]);
  assert.equal(engine.requests[0].kvCache.options!.window, 16);
});

Deno.test("logprobs come with bytes and alternatives, the same streamed and not", async () => {
  // Two bytes of an é, each a token.
  const { post } = startApp({ tokens: [TOKEN.hello, 0xc3, 0xa9, TOKEN.end] });
  const body = { messages: MESSAGES, logprobs: true, top_logprobs: 2 };
  const { choices } = await (await post(PATH, body)).json();
  const { content, refusal } = choices[0].logprobs;
  assert.equal(refusal, null);
  const entry = (token: string, bytes: number[], logprob: number) => ({ token, logprob, bytes });
  assert.deepEqual(content, [
    {
      ...entry("Hello", byteTokens("Hello"), -0.5),
      top_logprobs: [entry("Hello", byteTokens("Hello"), -0.5), entry(" world", byteTokens(" world"), -1.5)],
    },
    {
      ...entry("bytes:\\xc3", [0xc3], -0.5),
      top_logprobs: [entry("bytes:\\xc3", [0xc3], -0.5), entry("bytes:\\xc4", [0xc4], -1.5)],
    },
    {
      ...entry("bytes:\\xa9", [0xa9], -0.5),
      top_logprobs: [entry("bytes:\\xa9", [0xa9], -0.5), entry("bytes:\\xaa", [0xaa], -1.5)],
    },
  ]);

  const events = await readEvents(await post(PATH, { ...body, stream: true }));
  const pieces = events.map(({ choices }) => choices[0]).filter((choice) => choice.logprobs);
  assert.deepEqual(pieces.flatMap(({ logprobs }) => logprobs.content), content);
  assert.deepEqual(pieces.map(({ delta, logprobs }) => [delta.content, logprobs.content.length]), [["Hello", 1], [
    "é",
    2,
  ]]);
});

Deno.test("logprobs without alternatives have empty lists, and an impossible token stays valid JSON", async () => {
  const { post, engine } = startApp({ tokens: [{ id: TOKEN.one, logprob: -Infinity }] });
  const { choices } = await (await post(PATH, { messages: MESSAGES, logprobs: true, max_tokens: 1 })).json();
  assert.deepEqual(choices[0].logprobs.content, [
    { token: " one", logprob: -9999, bytes: byteTokens(" one"), top_logprobs: [] },
  ]);
  assert.equal(engine.requests[0].topLogprobs, 0);
});

Deno.test("messages and tools reach the template, developers as the system", async () => {
  const seen: unknown[] = [];
  const render: ChatTemplate["render"] = ({ messages, tools }) => {
    seen.push({ messages, tools: tools && fromJson(tools) });
    return { text: "rendered", encoding: {}, messages: [] };
  };
  const { post } = startApp({ tokens: [TOKEN.end] }, {}, { source: "", stopStrings: [], render });
  const tools = [{ type: "function", function: { name: "look", parameters: {} } }];
  const calls = [{ id: "c", type: "function", function: { name: "look", arguments: '{"x":1}' } }];
  const parts = [{ type: "text", text: "a" }, { type: "text", text: "b" }];
  const body = {
    messages: [
      { role: "developer", content: "Be brief" },
      { role: "user", content: parts, name: "Ann" },
      { role: "assistant", content: null, name: null, tool_calls: calls },
      { role: "tool", content: "1", tool_call_id: "c", tool_calls: null },
    ],
    tools,
  };
  const messages = [
    { role: "system", content: "Be brief" },
    { role: "user", content: parts, name: "Ann" },
    { role: "assistant", content: null, tool_calls: calls },
    { role: "tool", content: "1", tool_call_id: "c" },
  ];
  await post(PATH, body);
  await post(PATH, { ...body, tool_choice: "none" });
  assert.deepEqual(seen, [{ messages, tools: fromJson(tools) }, { messages, tools: undefined }]);
});

Deno.test("a reply that the last message begins is continued", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.hello, TOKEN.end] });
  const begun = [...MESSAGES, { role: "assistant", content: "Well," }];
  const response = await post(PATH, { messages: begun, continue_final_message: true, add_generation_prompt: false });
  assert.equal((await response.json()).choices[0].message.content, "Hello");
  assert.deepEqual([...engine.requests[0].prompt], [TOKEN.begin, ...byteTokens(`${RENDERED}Well,`)]);
});

Deno.test("only a reply of the assistant's can be continued", async () => {
  const { post } = startApp({ tokens: [] });
  const refusals: [unknown[], object, RegExp][] = [
    [MESSAGES, { continue_final_message: true }, /^continue_final_message is true; expected the last of several/],
    [[{ role: "assistant", content: "Well," }], { continue_final_message: true }, /^continue_final_message is true/],
    [
      [...MESSAGES, { role: "assistant", content: "Well," }],
      { continue_final_message: true, add_generation_prompt: true },
      /^add_generation_prompt is true; expected it to be false beside continue_final_message/,
    ],
    [MESSAGES, { add_generation_prompt: false }, /^add_generation_prompt is false; expected it to be absent/],
  ];
  for (const [messages, fields, message] of refusals) {
    const response = await post(PATH, { messages, ...fields });
    assert.equal(response.status, 400);
    assert.match((await response.json()).error.message, message);
  }
});

Deno.test("the stop strings of a chat template end a reply beside the request's own", async () => {
  const { post } = startApp({ tokens: byteTokens("Yes\nUser: no") }, {}, {
    ...fakeChatTemplate,
    stopStrings: ["\nUser:"],
  });
  const { choices } = await (await post(PATH, { messages: MESSAGES, stop: "zzz" })).json();
  assert.equal(choices[0].message.content, "Yes");
  assert.equal(choices[0].finish_reason, "stop");
});

Deno.test("tools with a number that is too long to be kept are refused", async () => {
  const { post } = startApp({ tokens: [] });
  const body = { messages: MESSAGES, tools: [{ type: "function", function: { name: "f" }, limit: 0 }] };
  const text = JSON.stringify(body).replace('"limit":0', `"limit":${"1".repeat(5000)}`);
  const response = await post(PATH, text);
  assert.equal(response.status, 400);
  assert.match((await response.json()).error.message, /^tools cannot be read: it has an integer of 5000 digits/);
});
