import assert from "node:assert/strict";
import type { GenerationRequest } from "../../../src/contract/generation.ts";
import { fromJson } from "../../../src/text/jinja/from_json.ts";
import { parseJson } from "../../../src/text/json_text.ts";
import { byteTokens, TOKEN } from "../../support/fake_text.ts";
import { readError, startApp } from "../harness.ts";

const COMPLETIONS = { path: "/v1/completions", body: { prompt: "x", max_tokens: 4 } };
const CHAT = { path: "/v1/chat/completions", body: { messages: [{ role: "user", content: "Hi" }], max_tokens: 4 } };
const BOTH = [COMPLETIONS, CHAT];

/**
 * Fields of OpenAI's API, vLLM and llama-server (their documentation and sources in 2025) that would change an answer, with a
 * value that does, and one that does not where there is one. All of these are refused.
 */
const REFUSED: readonly [
  field: string,
  value: unknown,
  neutral: unknown,
  where: readonly (typeof CHAT | typeof COMPLETIONS)[],
][] = [
  // OpenAI
  ["audio", { voice: "x" }, null, [CHAT]],
  ["modalities", ["audio"], ["text"], [CHAT]],
  ["functions", [{ name: "f" }], [], [CHAT]],
  ["function_call", { name: "f" }, "auto", [CHAT]],
  ["tool_choice", { type: "function" }, "auto", [CHAT]],
  ["web_search_options", {}, null, [CHAT]],
  ["verbosity", "low", "medium", [CHAT]],
  ["moderation", { model: "x" }, null, [CHAT]],
  // vLLM
  ["use_beam_search", true, false, BOTH],
  ["length_penalty", 1.5, 1, BOTH],
  ["early_stopping", true, false, BOTH],
  ["truncate_prompt_tokens", 5, null, BOTH],
  ["structural_tag", "{}", "", BOTH],
  ["logits_processors", ["x"], [], BOTH],
  ["vllm_xargs", { a: 1 }, null, BOTH],
  ["mm_processor_kwargs", { a: 1 }, null, BOTH],
  ["return_token_ids", true, false, BOTH],
  ["thinking_token_budget", 10, null, [COMPLETIONS]],
  ["reasoning_budget", 10, -1, [COMPLETIONS]],
  ["thinking_forced_open", true, false, [CHAT]],
  ["guided_decoding_backend", "outlines", null, BOTH],
  ["guided_whitespace_pattern", " ", null, BOTH],
  ["chat_template", "{{ messages }}", null, [CHAT]],
  ["echo", true, false, [CHAT]],
  // llama-server
  ["typical_p", 0.5, 1, BOTH],
  ["top_n_sigma", 1, -1, BOTH],
  ["min_keep", 5, 0, BOTH],
  ["xtc_probability", 0.5, 0, BOTH],
  ["dry_multiplier", 0.8, 0, BOTH],
  ["mirostat", 2, 0, BOTH],
  ["dynatemp_range", 0.5, 0, BOTH],
  ["samplers", ["top_k"], null, BOTH],
  ["repeat_last_n", 64, -1, BOTH],
  ["n_indent", 4, 0, BOTH],
  ["n_probs", 5, 0, BOTH],
  ["t_max_predict_ms", 100, 0, BOTH],
  ["image_data", ["x"], [], BOTH],
  ["lora", [{ id: 0, scale: 1 }], [], BOTH],
  ["response_fields", ["content"], [], BOTH],
  ["input_suffix", "x", "", [COMPLETIONS]],
  // Of servers and APIs near to these
  ["enable_thinking", false, null, BOTH],
  ["thinking", { type: "disabled" }, null, [CHAT]],
  ["reasoning", { effort: "low" }, null, [CHAT]],
  ["max_output_tokens", 3, null, [CHAT]],
];

for (const [field, value, neutral, where] of REFUSED) {
  Deno.test(`${field} is refused by name, unless it asks for nothing`, async () => {
    const { post } = startApp({ tokens: [TOKEN.one, TOKEN.end] });
    for (const { path, body } of where) {
      const error = await readError(await post(path, { ...body, [field]: value }));
      assert.deepEqual([error.status, error.param], [400, field], error.message);
      assert.ok(error.message.startsWith(`${field} is `), error.message);
      const response = await post(path, { ...body, [field]: neutral });
      assert.equal(
        response.status,
        200,
        `${path} ${field}: ${JSON.stringify(neutral)}: ${await response.clone().text()}`,
      );
    }
  });
}

/** Fields that are honoured: what they do to the request that the engine gets. */
const HONOURED: readonly [fields: object, expected: (request: GenerationRequest) => unknown, value: unknown][] = [
  [{ repeat_penalty: 1.3 }, ({ sampling }) => sampling.repetitionPenalty, 1.3],
  [{ n_predict: 3, max_tokens: null }, ({ maxTokens }) => maxTokens, 3],
  // The context, less the prompt.
  [
    { n_predict: -1, max_tokens: null, prompt: "x", messages: [{ role: "user", content: "" }] },
    ({ prompt, maxTokens }) => prompt.length + maxTokens,
    256,
  ],
  [{ allowed_token_ids: [65, 66] }, ({ sampling }) => [...sampling.allowedTokens ?? []], [65, 66]],
  [{ bad_words: ["A"] }, ({ sampling }) => sampling.logitBias, [{ token: 65, bias: -1e30 }]],
  [{ logit_bias: { 65: 3 }, bad_words: ["B"] }, ({ sampling }) => sampling.logitBias, [
    { token: 65, bias: 3 },
    { token: 66, bias: -1e30 },
  ]],
  [{ min_tokens: 3 }, ({ minTokens }) => minTokens, 3],
  [{ min_tokens: 0 }, ({ minTokens }) => minTokens, undefined],
  [{ priority: -1 }, ({ priority }) => priority, -1],
  [{ suffix: "" }, ({ prompt }) => prompt[0] === TOKEN.begin, true],
  // More than the vocabulary is all of it, and never a number modulo 2^32.
  [{ top_k: 2 ** 32 + 1 }, ({ sampling }) => sampling.topK, 300],
  [{ top_k: Number.MAX_SAFE_INTEGER }, ({ sampling }) => sampling.topK, 300],
  [{ seed: 2 ** 32 + 5 }, ({ sampling }) => sampling.seed, 5],
  [{ add_special_tokens: false }, ({ prompt }) => prompt[0] === TOKEN.begin, false],
  [{ add_special_tokens: true }, ({ prompt }) => prompt[0] === TOKEN.begin, true],
];

for (const [fields, read, value] of HONOURED) {
  Deno.test(`${JSON.stringify(fields)} is honoured`, async () => {
    for (const { path, body } of BOTH) {
      const { post, engine } = startApp({ tokens: [TOKEN.end] });
      const response = await post(path, { ...body, ...fields });
      assert.equal(response.status, 200, await response.clone().text());
      assert.deepEqual(read(engine.requests[0]), value, path);
    }
  });
}

Deno.test("fields that say the same thing twice must agree", async () => {
  const { post } = startApp({ tokens: [TOKEN.end] });
  const refusals: [object, string][] = [
    [{ n_predict: 5 }, "n_predict is 5; expected it to be absent beside another max_tokens"],
    [
      { repeat_penalty: 1.1, repetition_penalty: 1.2 },
      "repeat_penalty is 1.1; expected it to be absent beside another repetition_penalty",
    ],
    [
      { spaces_between_special_tokens: true, skip_special_tokens: false },
      "spaces_between_special_tokens is true; expected it to be false: special tokens are shown without spaces",
    ],
  ];
  for (const [fields, message] of refusals) {
    assert.equal((await readError(await post(COMPLETIONS.path, { ...COMPLETIONS.body, ...fields }))).message, message);
  }
  const limits = { max_tokens: 4, max_completion_tokens: 3 };
  assert.equal(
    (await readError(await post(CHAT.path, { ...CHAT.body, ...limits }))).message,
    "max_completion_tokens is 3; expected it to be absent beside another max_tokens",
  );
  assert.equal(
    (await post(CHAT.path, { ...CHAT.body, ...limits, max_completion_tokens: 4, n_predict: 4 })).status,
    200,
  );
});

Deno.test("a forbidden word of several tokens is refused", async () => {
  const { post } = startApp({ tokens: [TOKEN.end] });
  const error = await readError(await post(COMPLETIONS.path, { ...COMPLETIONS.body, bad_words: ["A", "no"] }));
  assert.deepEqual([error.status, error.param], [400, "bad_words[1]"]);
  assert.equal(error.message, 'bad_words[1] is "no", which is several tokens; expected words of one token');
});

Deno.test("what the template is to know reaches it: its variables, null contents and fields of messages", async () => {
  const seen: unknown[][] = [];
  const { post } = startApp({ tokens: [TOKEN.end] }, {}, {
    source: "",
    stopStrings: [],
    render({ messages, kwargs }) {
      seen.push([messages, fromJson(kwargs)]);
      return { text: "rendered", encoding: {}, messages: [] };
    },
  });
  const documents = [{ title: "t", text: "x" }];
  const assistant = { role: "assistant", content: null, reasoning_content: "because", tool_calls: null, custom: [1] };
  await post(CHAT.path, {
    messages: [{ role: "user", content: "Hi" }, assistant],
    chat_template_kwargs: { enable_thinking: false },
    reasoning_effort: "low",
    documents,
  });
  assert.deepEqual(seen, [[
    [{ role: "user", content: "Hi" }, { role: "assistant", content: null, reasoning_content: "because", custom: [1] }],
    fromJson(
      new Map<string, unknown>([["reasoning_effort", "low"], ["documents", documents], ["enable_thinking", false]]),
    ),
  ]]);
  const error = await readError(await post(CHAT.path, { ...CHAT.body, chat_template_kwargs: { messages: [] } }));
  assert.deepEqual([error.status, error.param], [400, "chat_template_kwargs"]);
});

Deno.test("tools and variables reach the template with their numbers and keys as they were sent", async () => {
  const seen: unknown[] = [];
  const { post } = startApp({ tokens: [TOKEN.end] }, {}, {
    source: "",
    stopStrings: [],
    render({ tools, kwargs }) {
      seen.push(tools, kwargs);
      return { text: "rendered", encoding: {}, messages: [] };
    },
  });
  const tool = '{"2":1.0,"1":1234567890123456789,"type":"function","function":{"name":"f"}}';
  const body = `{"messages":[{"role":"user","content":"Hi"}],"tools":[${tool}],"chat_template_kwargs":{"x":1e-07}}`;
  assert.equal((await post(CHAT.path, body)).status, 200);
  assert.deepEqual(seen, [parseJson(`[${tool}]`), new Map([["x", parseJson("1e-07")]])]);
});

Deno.test("a message of validation says each thing once", async () => {
  const { post } = startApp({ tokens: [] });
  const error = await readError(await post(COMPLETIONS.path, { ...COMPLETIONS.body, top_k: -1.5, temperature: 101 }));
  assert.equal(
    error.message,
    "temperature is 101; expected a number from 0 to 100. top_k is -1.5; expected an integer at least -1",
  );
});

Deno.test("half a character is in no reply, and no stop string is found in half of one", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.grin, ...byteTokens("!"), TOKEN.end] });
  const body = { prompt: "a\ud83d", echo: true, max_tokens: 5, stop: ["\ude00", "\ud83d"] };
  const text = await (await post(COMPLETIONS.path, body)).text();
  assert.doesNotMatch(text, /\\ud[89a-f]/i);
  assert.equal(JSON.parse(text).choices[0].text, "a\ufffd😀!");
  assert.deepEqual([...engine.requests[0].prompt], [TOKEN.begin, ...byteTokens("a\ufffd")]);
  const { error } = await (await post(COMPLETIONS.path, { ...COMPLETIONS.body, model: "\ud83d" })).json();
  assert.ok(error.message.isWellFormed(), error.message);
});

Deno.test("text_offset counts code points", async () => {
  const { post } = startApp({ tokens: [TOKEN.grin, TOKEN.grin, TOKEN.one, TOKEN.end] });
  const { choices } = await (await post(COMPLETIONS.path, { ...COMPLETIONS.body, logprobs: 0 })).json();
  assert.deepEqual(choices[0].logprobs.text_offset, [0, 1, 2]);
});

Deno.test("a field that is hardly meant as it is spelt is refused, with what was probably meant", async () => {
  const { post, engine } = startApp({ tokens: [TOKEN.end] });
  const slips = {
    kv_cahce: "kv_cache",
    max_token: "max_tokens",
    temprature: "temperature",
    steam_options: "stream_options",
  };
  for (const { path, body } of BOTH) {
    for (const [slip, meant] of Object.entries(slips)) {
      const error = await readError(await post(path, { ...body, [slip]: 1 }));
      assert.deepEqual([error.status, error.param], [400, slip]);
      assert.equal(error.message, `Unknown field ${slip}: did you mean ${meant}?`);
    }
  }
  assert.equal(engine.requests.length, 0);
});

Deno.test("fields of other servers that look like ours are ignored: short ones, and what is null", async () => {
  const { post } = startApp({ tokens: [TOKEN.end] });
  for (const { path, body } of BOTH) {
    const others = { top_a: 0, prefix: "x", cache_prompt: true, service_tier: "auto", kv_cach: null };
    assert.equal((await post(path, { ...body, ...others })).status, 200);
  }
});
