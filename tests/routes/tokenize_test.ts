import assert from "node:assert/strict";
import { ConversationTemplate } from "../../src/text/conversation_template.ts";
import { byteTokens, fakeTokenizer, TOKEN } from "../support/fake_text.ts";
import { readError, startApp } from "./harness.ts";

const { post, app } = startApp({ tokens: [] });
const reply = async (path: string, body: unknown) => await (await post(path, body)).json();

Deno.test("/tokenize gives vLLM's clients tokens with what goes around texts, llama-server's without", async () => {
  const tokens = byteTokens("é");
  assert.deepEqual(await reply("/tokenize", { prompt: "é" }), {
    count: 3,
    max_model_len: 256,
    tokens: [TOKEN.begin, ...tokens],
  });
  assert.deepEqual((await reply("/tokenize", { content: "é" })).tokens, tokens);
  assert.deepEqual((await reply("/tokenize", { content: "é", add_special: true })).tokens, [TOKEN.begin, ...tokens]);
  assert.deepEqual((await reply("/tokenize", { prompt: "é", add_special_tokens: false })).tokens, tokens);
});

Deno.test("/tokenize shows the text of each token if asked", async () => {
  const { token_strs } = await reply("/tokenize", { content: "aé", return_token_strs: true });
  assert.deepEqual(token_strs, ["a", "bytes:\\xc3", "bytes:\\xa9"]);
  assert.deepEqual((await reply("/tokenize", { content: "a", with_pieces: true })).tokens, [{ id: 97, piece: "a" }]);
});

const USER = { role: "user", content: "Grüße" };
const TOOL = { type: "function", function: { name: "weather", parameters: { type: "object" } } };

/** A template that shows all that it is given. */
const source = "{% if tools %}{{ tools | tojson }}{% endif %}{{ mood }}" +
  "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}>{% endif %}" +
  "{% if messages[0].role == 'assistant' %}{{ raise_exception('not first') }}{% endif %}";
const template = new ConversationTemplate(source, fakeTokenizer, {});
const startConversation = () =>
  startApp({ tokens: [TOKEN.end] }, {}, { source, stopStrings: [], render: template.render.bind(template) });

for (
  const fields of [
    {},
    { add_generation_prompt: true },
    { tools: [TOOL] },
    { tools: [TOOL], tool_choice: "none" },
    { chat_template_kwargs: { mood: "merry" } },
    { add_special_tokens: false },
    {
      messages: [USER, { role: "assistant", content: "It is" }],
      continue_final_message: true,
      add_generation_prompt: false,
    },
  ]
) {
  Deno.test(`/tokenize of messages gives what a chat completion reads: ${JSON.stringify(fields)}`, async () => {
    const { post, engine } = startConversation();
    const body = { messages: [USER], prompt: null, ...fields };
    const { count, max_model_len, tokens } = await (await post("/tokenize", body)).json();
    assert.equal((await post("/v1/chat/completions", { ...body, max_tokens: 1 })).status, 200);
    assert.deepEqual(tokens, [...engine.requests[0].prompt]);
    assert.deepEqual([count, max_model_len], [tokens.length, 256]);
  });
}

Deno.test("/tokenize of messages shows the text of each token if asked, and counts what no context has room for", async () => {
  const { post } = startConversation();
  const messages = [{ role: "user", content: "é".repeat(200) }];
  const body = { messages, return_token_strs: true, with_pieces: true };
  const { count, tokens, token_strs } = await (await post("/tokenize", body)).json();
  // What begins a text, <user>, two bytes a letter, >.
  assert.equal(count, 1 + 6 + 400 + 1);
  assert.deepEqual(token_strs.slice(0, 8), ["<s>", "<", "u", "s", "e", "r", ">", "bytes:\\xc3"]);
  assert.deepEqual(tokens[1], { id: "<".charCodeAt(0), piece: "<" });
});

for (
  const fields of [
    { messages: [] },
    { messages: "Hi" },
    { messages: [{ role: "assistant", content: "I begin" }] },
    { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
    { add_generation_prompt: false },
    { continue_final_message: true },
    { chat_template: "{{ messages }}" },
    { chat_template_kwargs: { messages: [] } },
    { chat_template_kwargs: "merry" },
    { tools: [{ type: "function" }] },
    { chat_template_kwarg: {} },
    { model: "another" },
  ]
) {
  Deno.test(`/tokenize refuses messages as chat completions do: ${JSON.stringify(fields).slice(0, 60)}`, async () => {
    const { post } = startConversation();
    const body = { messages: [USER], ...fields };
    const error = await readError(await post("/tokenize", body));
    assert.ok(error.status === 400 || error.status === 404, error.message);
    assert.deepEqual(error, await readError(await post("/v1/chat/completions", body)));
  });
}

Deno.test("/detokenize gives the text of tokens, special ones too", async () => {
  const text = "</s>Hello 世";
  const body = { tokens: [TOKEN.end, TOKEN.hello, ...byteTokens(" 世")] };
  assert.deepEqual(await reply("/detokenize", body), { prompt: text, content: text });
});

for (
  const [path, body, param] of [
    ["/tokenize", {}, "prompt"],
    ["/tokenize", { prompt: "a", content: "a" }, "prompt"],
    ["/tokenize", { messages: [{ role: "user", content: "a" }], prompt: "a" }, "prompt"],
    ["/tokenize", { messages: [{ role: "user", content: "a" }], content: "a" }, "content"],
    ["/tokenize", { messages: [{ role: "user", content: "a" }], parse_special: false }, "parse_special"],
    ["/tokenize", [], null],
    ["/detokenize", { tokens: ["a"] }, "tokens"],
    ["/detokenize", { tokens: [300] }, "tokens"],
  ] as const
) {
  Deno.test(`${path} refuses ${JSON.stringify(body).slice(0, 40)}`, async () => {
    const { status, param: named } = await readError(await post(path, body));
    assert.deepEqual([status, named], [400, param]);
  });
}

Deno.test("/version tells the version of deno.json", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  assert.deepEqual(await (await app.request("/version")).json(), { version });
});
