import assert from "node:assert/strict";
import { byteTokens, TOKEN } from "../support/fake_text.ts";
import { readBlocks, readError, readEvents, startApp } from "./harness.ts";

const PATH = "/v1/completions";

Deno.test("a completion has the shape of the OpenAI API", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.hello, TOKEN.world, TOKEN.end] });
  const response = await post(PATH, { model: "fake-model", prompt: "Say: " });
  const { id, created, usage, ...reply } = await response.json();
  assert.match(id, /^cmpl-/);
  assert.ok(Number.isInteger(created));
  assert.deepEqual(reply, {
    object: "text_completion",
    model: "fake-model",
    choices: [{ index: 0, text: "Hello world", logprobs: null, finish_reason: "stop" }],
  });
  assert.equal(usage.prompt_tokens, 6);
  assert.equal(usage.completion_tokens, 3);
  assert.deepEqual([...engine.requests[0].prompt], [TOKEN.begin, ...byteTokens("Say: ")]);
  assert.equal(engine.requests[0].maxTokens, 16);
});

Deno.test("a completion stream is, line by line, what clients expect", async () => {
  const { post } = startApp({ tokens: [TOKEN.one, TOKEN.two, TOKEN.hello], batch: 2 });
  const body = { prompt: "x", stream: true, stream_options: { include_usage: true }, max_tokens: 3 };
  const blocks = await readBlocks(await post(PATH, body));
  const { id, created } = JSON.parse(blocks[0].slice("data: ".length));
  const head = `data: {"id":"${id}","object":"text_completion","created":${created},"model":"fake-model"`;
  const chunk = (text: string, finishReason: string) =>
    `${head},"choices":[{"index":0,"text":"${text}","logprobs":null,"finish_reason":${finishReason}}],"usage":null}`;
  assert.deepEqual(blocks, [
    chunk(" one two", "null"),
    chunk("Hello", "null"),
    chunk("", '"length"'),
    `${head},"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5,` +
    `"prompt_tokens_details":{"cached_tokens":0},"kv_cache":{"policy":"dynamickv","budget":2,"prompt_rows":2,` +
    `"rows_per_layer":[1,1],"rows_ratio":0.5,"bytes":16,"full_bytes":32,"ratio":0.5}}}`,
    "data: [DONE]",
  ]);
});

Deno.test("continuous_usage_stats has each chunk tell what its choice has come to, with its own prompt", async () => {
  const { post } = startApp({ tokens: [TOKEN.one, TOKEN.two, TOKEN.hello, TOKEN.end], batch: 2 });
  const stream_options = { include_usage: true, continuous_usage_stats: true };
  const body = { prompt: ["x", "xyz"], stream: true, stream_options, echo: true, stop: "Hell" };
  const events = await readEvents(await post(PATH, body));
  const last = events.pop();
  for (const [index, promptTokens] of [2, 4].entries()) {
    const chunks = events.filter(({ choices }) => choices[0].index === index);
    // What is echoed, what two tokens and then a third say, of which the stop string is cut.
    assert.deepEqual(
      chunks.map(({ choices, usage }) => [choices[0].text, choices[0].finish_reason, Object.values(usage)]),
      [
        [body.prompt[index], null, [promptTokens, 0, promptTokens]],
        [" one two", null, [promptTokens, 2, promptTokens + 2]],
        ["", "stop", [promptTokens, 3, promptTokens + 3]],
      ],
    );
    assert.deepEqual(Object.keys(chunks[0].usage), ["prompt_tokens", "completion_tokens", "total_tokens"]);
  }
  assert.deepEqual([last.usage.prompt_tokens, last.usage.completion_tokens], [6, 6]);
});

Deno.test("prompts may be a text, texts, tokens, or lists of tokens", async () => {
  const cases: [unknown, number[][]][] = [
    ["a", [[TOKEN.begin, 97]]],
    [["a", "b"], [[TOKEN.begin, 97], [TOKEN.begin, 98]]],
    [[1, 2, 3], [[1, 2, 3]]],
    [[[1, 2], [3]], [[1, 2], [3]]],
  ];
  for (const [prompt, expected] of cases) {
    const { post, engine } = startApp({ tokens: [TOKEN.end] });
    const { choices } = await (await post(PATH, { prompt })).json();
    assert.deepEqual(engine.requests.map((request) => [...request.prompt]), expected);
    assert.equal(choices.length, expected.length);
  }
});

Deno.test("cached tokens of several prompts are those of each prompt, whatever its choices", async () => {
  const { post } = startApp({ script: (_, index) => ({ tokens: [TOKEN.hello], cachedTokens: [1, 1, 4, 4][index] }) });
  const { usage } = await (await post(PATH, { prompt: ["a", "abcde"], n: 2, max_tokens: 1 })).json();
  assert.deepEqual(usage.prompt_tokens_details, { cached_tokens: 5 });
});

Deno.test("choices of several prompts are numbered prompt by prompt, and echo their own prompt", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.hello], delay: 0 });
  const body = { prompt: ["a", "b"], n: 2, echo: true, max_tokens: 1, seed: 5 };
  const { choices } = await (await post(PATH, body)).json();
  assert.deepEqual(choices.map(({ index, text }: any) => [index, text]), [
    [0, "aHello"],
    [1, "aHello"],
    [2, "bHello"],
    [3, "bHello"],
  ]);
  assert.deepEqual(engine.requests.map(({ sampling }) => sampling.seed), [5, 6, 5, 6]);

  const texts = ["", "", "", ""];
  for (const event of await readEvents(await post(PATH, { ...body, stream: true }))) {
    for (const { index, text } of event.choices) texts[index] += text;
  }
  assert.deepEqual(texts, ["aHello", "aHello", "bHello", "bHello"]);
});

Deno.test("a seed is any integer, and choices never share one", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.end] });
  for (const seed of [-2, 2 ** 32 + 7, 2 ** 60]) await post(PATH, { prompt: "x", n: 2, seed });
  assert.deepEqual(engine.requests.map(({ sampling }) => sampling.seed), [2 ** 32 - 2, 2 ** 32 - 1, 7, 8, 0, 1]);
});

Deno.test("a seed of -1 is another one each time", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.end] });
  for (let i = 0; i < 4; i++) await post(PATH, { prompt: "x", seed: -1 });
  const seeds = engine.requests.map(({ sampling }) => sampling.seed);
  assert.ok(seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32));
  // That four random numbers of 32 bits are not all different happens once in 700 million times.
  assert.equal(new Set(seeds).size, 4);
});

Deno.test("an echoed prompt of tokens is decoded without special tokens", async () => {
  const { post } = startApp({ tokens: [TOKEN.world] });
  const { choices } = await (await post(PATH, { prompt: [TOKEN.begin, TOKEN.hello], echo: true, max_tokens: 1 }))
    .json();
  assert.equal(choices[0].text, "Hello world");
});

Deno.test("max_tokens 0 tells of the prompt alone, streamed or not", async () => {
  const chosen = { id: TOKEN.two, logprob: -3 };
  for (const token of [chosen, TOKEN.end]) {
    const { post, engine } = startApp({ tokens: [token] });
    const body = { prompt: ["ab", "c"], max_tokens: 0, echo: true, guided_choice: ["x"] };
    const { choices, usage } = await (await post(PATH, body)).json();
    assert.deepEqual(
      choices.map(({ text, finish_reason }: any) => [text, finish_reason]),
      [["ab", "length"], ["c", "length"]],
    );
    assert.deepEqual([usage.prompt_tokens, usage.completion_tokens, usage.total_tokens], [5, 0, 5]);
    assert.equal(engine.requests[0].grammar, undefined);
    const events = await readEvents(await post(PATH, { ...body, stream: true, prompt: "ab" }));
    assert.equal(events.map(({ choices: [{ text }] }) => text).join(""), "ab");
    assert.equal(events.at(-1).choices[0].finish_reason, "length");
    const plain = await (await post(PATH, { prompt: "ab", max_tokens: 0 })).json();
    assert.deepEqual([plain.choices[0].text, plain.usage.completion_tokens], ["", 0]);
  }
  const { post } = startApp({ tokens: [] });
  const error = await readError(await post(PATH, { prompt: "ab", max_tokens: 0, min_tokens: 1 }));
  assert.deepEqual([error.status, error.param], [400, "min_tokens"]);
});

Deno.test("logprobs are lists with one entry per token, and the chosen token is always among the alternatives", async () => {
  const chosen = { id: TOKEN.two, logprob: -3, topLogprobs: [{ id: TOKEN.one, logprob: -0.25 }] };
  const { post } = startApp({ tokens: [TOKEN.hello, chosen, TOKEN.end] });
  const body = { prompt: "x", logprobs: 1 };
  const { choices } = await (await post(PATH, body)).json();
  assert.deepEqual(choices[0].logprobs, {
    tokens: ["Hello", " two"],
    token_logprobs: [-0.5, -3],
    top_logprobs: [{ Hello: -0.5 }, { " one": -0.25, " two": -3 }],
    text_offset: [0, 5],
  });

  const events = await readEvents(await post(PATH, { ...body, stream: true }));
  const streamed = events.flatMap((event) => event.choices).map((choice) => choice.logprobs);
  for (const list of ["tokens", "token_logprobs", "top_logprobs", "text_offset"]) {
    assert.deepEqual(streamed.flatMap((logprobs) => logprobs[list]), choices[0].logprobs[list]);
  }
});

Deno.test("a stop string across tokens ends the text before it, and the engine is stopped", async () => {
  const script = { tokens: byteTokens("one two three four") };
  for (const stream of [false, true]) {
    const { post, engine } = startApp(script);
    const response = await post(PATH, { prompt: "x", stop: ["zzz", "two t"], stream, max_tokens: 100, logprobs: 0 });
    const choices = stream
      ? (await readEvents(response)).flatMap((event) => event.choices)
      : (await response.json()).choices;
    assert.equal(choices.map((choice: any) => choice.text).join(""), "one ");
    assert.equal(choices.at(-1).finish_reason, "stop");
    assert.deepEqual(choices.flatMap((choice: any) => choice.logprobs.tokens), [..."one "]);
    await engine.idle();
    assert.deepEqual(engine.aborts, ["decode"]);
  }
});

Deno.test("a stop string's tokens count, and include_stop_str_in_output shows it", async () => {
  const { post } = startApp({ tokens: byteTokens("abcdef") });
  const { choices, usage } = await (await post(PATH, { prompt: "x", stop: "cd", include_stop_str_in_output: true }))
    .json();
  assert.equal(choices[0].text, "abcd");
  assert.equal(usage.completion_tokens, 4);
});

Deno.test("text held back for a stop string that never comes is released at the end", async () => {
  const { post } = startApp({ tokens: byteTokens("abc") });
  const events = await readEvents(
    await post(PATH, { prompt: "x", stop: "cd", max_tokens: 3, stream: true, logprobs: 0 }),
  );
  const choices = events.map((event) => event.choices[0]);
  assert.deepEqual(choices.map(({ text }) => text), ["a", "b", "c", ""]);
  assert.deepEqual(choices.map(({ logprobs }) => logprobs.tokens), [["a"], ["b"], ["c"], []]);
  assert.equal(choices.at(-1).finish_reason, "length");
});

Deno.test("half a character at the end is shown as U+FFFD, and no earlier", async () => {
  const { post } = startApp({ tokens: [TOKEN.hello, 0xf0, 0x9f] });
  const events = await readEvents(await post(PATH, { prompt: "x", max_tokens: 3, stream: true }));
  assert.deepEqual(events.map((event) => event.choices[0].text), ["Hello", "\uFFFD", ""]);
});

Deno.test("the stop token counts even if the engine does not report it", async () => {
  const { post } = startApp({ tokens: [TOKEN.one, TOKEN.two, TOKEN.end], batch: 2, hideStopToken: true });
  const { choices, usage } = await (await post(PATH, { prompt: "x" })).json();
  assert.equal(choices[0].text, " one two");
  assert.equal(usage.completion_tokens, 3);
  const stream_options = { include_usage: true, continuous_usage_stats: true };
  const events = await readEvents(await post(PATH, { prompt: "x", stream: true, stream_options }));
  assert.deepEqual(events.map(({ usage }) => usage.completion_tokens), [2, 3, 3]);
});

Deno.test("special tokens are shown only if asked for", async () => {
  const { post } = startApp({ tokens: [TOKEN.hello, TOKEN.turnEnd, TOKEN.world] });
  const text = async (fields: object) =>
    (await (await post(PATH, { prompt: "x", max_tokens: 3, ignore_eos: true, ...fields })).json()).choices[0].text;
  assert.equal(await text({}), "Hello world");
  assert.equal(await text({ skip_special_tokens: false }), "Hello<|im_end|> world");
});

Deno.test("whatever the tokens, the streamed text is the text, and no piece ends inside a character", async () => {
  let state = 12345;
  const random = (limit: number) => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) % limit;
  const material = ["a", "é", "漢", "😀", "👨‍👩‍👧", "\n", "STOP", "ST", "\u0000", '"'];
  for (let round = 0; round < 60; round++) {
    const text = Array.from({ length: 1 + random(12) }, () => material[random(material.length)]).join("");
    const tokens = byteTokens(text);
    // Sometimes bytes that are no text at all.
    if (round % 5 === 0) tokens.splice(random(tokens.length + 1), 0, 128 + random(128));
    const whole = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(tokens));
    const stopAt = whole.indexOf("STOP");
    const { post } = startApp({ tokens, batch: 1 + random(4) });
    const body = { prompt: "x", max_tokens: tokens.length, stop: ["STOP"] };
    const { choices } = await (await post(PATH, body)).json();
    assert.equal(choices[0].text, stopAt === -1 ? whole : whole.slice(0, stopAt));
    const pieces = (await readEvents(await post(PATH, { ...body, stream: true }))).map((event) =>
      event.choices[0].text
    );
    assert.equal(pieces.join(""), choices[0].text);
    assert.ok(pieces.every((piece) => piece.isWellFormed()));
  }
});
