import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { HttpError } from "../../../src/routes/errors.ts";
import type { ChatDelta } from "../../../src/routes/generation/chat.ts";
import { MessageEvents } from "../../../src/routes/messages/events.ts";
import { eventStream, namedEvent } from "../../../src/routes/sse.ts";
import { byteTokens, fakeTokenizer, TOKEN } from "../../support/fake_text.ts";
import { keys, readBlocks, startApp, until, withServer } from "../harness.ts";

const TEXT = "Grüße, 世界 😀";
const TOKENS = [...byteTokens(TEXT), TOKEN.end];
const model = "fake-model";
const messages = [{ role: "user" as const, content: "Hi" }];
const PATH = "/v1/messages";

const promptOf = (app: ReturnType<typeof startApp>) => fakeTokenizer.decode(app.engine.requests.at(-1)!.prompt);
const clientOf = (url: string, apiKey = "key") => new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });

Deno.test("@anthropic-ai/sdk gets the same message whole, streamed and through its helper", async () => {
  await withServer(startApp({ tokens: TOKENS }), async (url) => {
    const client = clientOf(url);
    const whole = await client.messages.create({ model, max_tokens: 100, messages });
    assert.deepEqual(whole.content, [{ type: "text", text: TEXT }]);
    assert.equal(whole.stop_reason, "end_turn");
    assert.equal(whole.usage.output_tokens, TOKENS.length);

    let streamed = "";
    const types: string[] = [];
    for await (const event of await client.messages.create({ model, max_tokens: 100, messages, stream: true })) {
      types.push(event.type);
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") streamed += event.delta.text;
    }
    assert.equal(streamed, TEXT);
    assert.deepEqual([...new Set(types)], [
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);

    const final = await client.messages.stream({ model, max_tokens: 100, messages }).finalMessage();
    assert.deepEqual(final.content.map((block) => block.type === "text" && block.text), [TEXT]);
    assert.deepEqual([final.stop_reason, final.usage.output_tokens], ["end_turn", TOKENS.length]);
  });
});

for (
  const [name, fields, reason, sequence] of [
    ["its limit", { max_tokens: 3 }, "max_tokens", null],
    ["the context", { max_tokens: 32_000 }, "model_context_window_exceeded", null],
    ["a stop sequence", { max_tokens: 32, stop_sequences: ["e"] }, "stop_sequence", "e"],
  ] as const
) {
  Deno.test(`a message that ${name} ends says so`, async () => {
    const app = startApp({ tokens: [TOKEN.hello, ...Array(300).fill(TOKEN.one)] });
    const reply = await (await app.post(PATH, { messages, ...fields })).json();
    assert.deepEqual([reply.stop_reason, reply.stop_sequence], [reason, sequence]);
  });
}

Deno.test("a system text comes first, without the line that differs with every request", async () => {
  const app = startApp({ tokens: [TOKEN.end] });
  const system = [
    { type: "text", text: "x-anthropic-billing-header: cc_version=2.1.0.abc; cc_entrypoint=cli; cch=12ab3;" },
    { type: "text", text: "Be short", cache_control: { type: "ephemeral" } },
  ];
  await app.post(PATH, { max_tokens: 9, system, messages });
  assert.equal(promptOf(app), "system: Be short\nuser: Hi\nassistant:");
  await app.post(PATH, { max_tokens: 9, system: `${system[0].text}\nBe kind`, messages });
  assert.equal(promptOf(app), "system: Be kind\nuser: Hi\nassistant:");
});

Deno.test("a message of the assistant's at the end is gone on with", async () => {
  const app = startApp({ tokens: [TOKEN.end] });
  await app.post(PATH, { max_tokens: 9, messages: [...messages, { role: "assistant", content: "Well," }] });
  assert.equal(promptOf(app), "user: Hi\nassistant:Well,");
});

Deno.test("calls, results and thoughts reach the template as chat completions would send them", async () => {
  let seen: any;
  const app = startApp({ tokens: [TOKEN.end] }, {}, {
    source: "",
    stopStrings: [],
    render(conversation) {
      seen = conversation;
      return { text: "x", encoding: {}, messages: [] };
    },
  });
  const response = await app.post(
    PATH,
    `{"max_tokens": 9, "thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": [
      {"type": "bash_20250124", "name": "bash"},
      {"name": "f", "description": "d", "input_schema": {"2": 1.0, "1": 2}}
    ],
    "messages": [
      {"role": "user", "content": "A"},
      {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "B"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"z": 1.0, "1": 12345678901234567890}}
      ]},
      {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "ok"}]},
        {"type": "text", "text": "C"}
      ]}
    ]}`,
  );
  assert.equal(response.status, 200);
  assert.deepEqual(seen.messages, [
    { role: "user", content: "A" },
    {
      role: "assistant",
      content: "B",
      reasoning_content: "hm",
      tool_calls: [{
        id: "c1",
        type: "function",
        function: { name: "f", arguments: '{"z":1.0,"1":12345678901234567890}' },
      }],
    },
    { role: "tool", content: "ok", tool_call_id: "c1" },
    { role: "user", content: "C" },
  ]);
  assert.deepEqual(seen.tools.map((tool: any) => [...tool.get("function").keys()]), [[
    "name",
    "description",
    "parameters",
  ]]);
  assert.deepEqual([...seen.tools[0].get("function").get("parameters").keys()], ["2", "1"]);
  assert.equal(new Map(seen.kwargs).get("enable_thinking"), true);
});

Deno.test("count_tokens counts what a message of the same would read", async () => {
  const app = startApp({ tokens: TOKENS });
  await withServer(app, async (url) => {
    const client = clientOf(url);
    const system = "Be short";
    const { input_tokens } = await client.messages.countTokens({ model, messages, system });
    const { usage } = await client.messages.create({ model, messages, system, max_tokens: 9 });
    assert.equal(input_tokens, usage.input_tokens);
    assert.equal(app.engine.generations.length, 1);
  });
});

Deno.test("@anthropic-ai/sdk throws errors of the right class, in words that agents know", async () => {
  await withServer(
    startApp({ script: () => ({ tokens: TOKENS }), capacity: 0 }, { apiKeys: keys("key") }),
    async (url) => {
      const fail = (fields: object, apiKey?: string): Promise<any> =>
        clientOf(url, apiKey).messages.create({ model, max_tokens: 9, messages, ...fields } as any).catch((e) => e);
      const bad = await fail({ temperature: -1 });
      assert.ok(bad instanceof Anthropic.BadRequestError);
      assert.deepEqual(bad.error, {
        type: "error",
        error: { type: "invalid_request_error", message: "temperature is -1; expected a number from 0 to 100" },
        request_id: (bad.error as any).request_id,
      });
      assert.ok(await fail({ model: "other" }) instanceof Anthropic.NotFoundError);
      assert.ok(await fail({}, "wrong") instanceof Anthropic.AuthenticationError);
      const long = await fail({ messages: [{ role: "user", content: "x".repeat(400) }] });
      assert.match(long.error.error.message, /^prompt is too long: /);
      const full = await fail({ stream: true });
      assert.deepEqual([full.status, full.error.error.type], [503, "overloaded_error"]);
      assert.match((await fail({ stop_sequences: [""] })).message, /stop_sequences\[0\] is/);
    },
  );
});

for (
  const [fields, words] of [
    [{ max_tokens: undefined }, /max_tokens is missing/],
    [{ messages: [{ role: "user", content: [{ type: "image", source: {} }] }] }, /messages\[0\]\.content\[0\]\.type/],
    [{ messages: [{ role: "user", content: [] }] }, /^messages holds no block of content; expected a text to answer$/],
    [{ container: "c" }, /container/],
    [{ mcp_servers: [{ type: "url" }] }, /mcp_servers/],
    [{ output_format: { type: "json_schema", schema: {} } }, /^output_format is .*: use output_config\.format$/],
    // As chat completions have them.
    [{ response_format: { type: "json_object" } }, /^response_format is .*: use output_config\.format$/],
    [{ max_completion_tokens: 3 }, /: use max_tokens$/],
    [{ stop: "x" }, /^stop is "x"; .*: use stop_sequences$/],
    [{ n: 2 }, /^n is 2; /],
    [{ output_config: { format: { type: "json_schema", schema: 3 } } }, /^output_config\.format\.schema is 3; /],
    [
      { output_config: { format: { type: "text" } } },
      /^output_config\.format\.type is "text"; expected \{"type": "json_schema"/,
    ],
    [{ context_management: { edits: [{ type: "clear_tool_uses_20250919" }] } }, /context_management/],
    [{ tool_choice: { type: "tool", name: "g" } }, /tool_choice names the tool "g"/],
    [{ messages: [{ role: "user", content: [{ type: "tool_use", id: "a", name: "b", input: {} }] }] }, /role user/],
  ] as const
) {
  Deno.test(`a message is refused for its ${JSON.stringify(fields).slice(0, 70)}`, async () => {
    const app = startApp({ tokens: TOKENS });
    const response = await app.post(PATH, { max_tokens: 9, messages, ...fields });
    assert.equal(response.status, 400);
    assert.match((await response.json()).error.message, words);
    assert.equal(app.engine.generations.length, 0);
  });
}

Deno.test("@anthropic-ai/sdk throws what failed within a stream", async () => {
  await withServer(startApp({ tokens: [TOKEN.hello], failure: "The GPU was lost" }), async (url) => {
    const stream = await clientOf(url).messages.create({ model, max_tokens: 9, messages, stream: true });
    const error: any = await (async () => {
      for await (const _ of stream);
    })().catch((error) => error);
    assert.ok(error instanceof Anthropic.APIError);
    assert.match(error.message, /The GPU was lost/);
  });
});

Deno.test("@anthropic-ai/sdk aborting a message stops the generation", async () => {
  const app = startApp({ tokens: Array(200).fill(TOKEN.one), delay: 2 });
  await withServer(app, async (url) => {
    const stream = clientOf(url).messages.stream({ model, max_tokens: 200, messages });
    stream.on("text", () => stream.abort());
    await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
    await until(() => app.engine.aborts.length === 1, "the abort");
  });
});

const USAGE = {
  prompt_tokens: 5,
  completion_tokens: 7,
  total_tokens: 12,
  prompt_tokens_details: { cached_tokens: 2 },
  kv_cache: null,
};

/** A client that is answered with the events of these pieces. */
function clientOfPieces(deltas: readonly Partial<ChatDelta>[]) {
  async function* source() {
    const events = new MessageEvents({ id: "msg_1", model }, { maxTokens: 9, stopSequences: [] });
    yield* events.start(USAGE);
    for (const delta of deltas) {
      const rest = { completionTokens: 0, finishReason: null, stopString: null };
      const piece = { index: 0, delta: {}, tokens: [], ...rest, ...delta };
      yield* events.push(piece);
      if (piece.finishReason) yield* events.finish(piece, USAGE);
    }
  }
  const body = () =>
    eventStream(source(), {
      format: { encode: namedEvent, failure: (error) => error.message },
      keepAliveMilliseconds: 1000,
      onCancel() {},
      toHttpError: (error) => new HttpError(500, String(error)),
    });
  const headers = { "content-type": "text/event-stream" };
  return new Anthropic({ apiKey: "key", fetch: () => Promise.resolve(new Response(body(), { headers })) });
}

Deno.test("@anthropic-ai/sdk puts thoughts, text and calls that come in pieces together", async () => {
  const call = (index: number, args: string, first = {}) => ({
    delta: { tool_calls: [{ index, ...first, function: { arguments: args, ...(first as any).function } }] },
  });
  const client = clientOfPieces([
    { delta: { reasoning_content: "Let me " } },
    { delta: { reasoning_content: "think" } },
    { delta: { content: "I ca" } },
    { delta: { content: "ll" } },
    call(0, "", { id: "a", type: "function", function: { name: "f" } }),
    call(0, '{"x"'),
    call(0, ":1}"),
    call(1, "{}", { id: "b", type: "function", function: { name: "g" } }),
    { finishReason: "tool_calls" },
  ]);
  const { content, stop_reason, usage } = await client.messages.stream({ model, max_tokens: 9, messages })
    .finalMessage();
  assert.deepEqual(JSON.parse(JSON.stringify(content)), [
    { type: "thinking", thinking: "Let me think", signature: "" },
    { type: "text", text: "I call" },
    { type: "tool_use", id: "a", name: "f", input: { x: 1 } },
    { type: "tool_use", id: "b", name: "g", input: {} },
  ]);
  assert.equal(stop_reason, "tool_use");
  assert.deepEqual([usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens], [3, 2, 7]);
});

Deno.test("a call that its limit cuts has no input", () => {
  const events = new MessageEvents({ id: "msg_1", model }, { maxTokens: 7, stopSequences: [] });
  const piece = (delta: ChatDelta["delta"], finishReason: ChatDelta["finishReason"] = null): ChatDelta => ({
    index: 0,
    delta,
    tokens: [],
    completionTokens: 0,
    finishReason,
    stopString: null,
  });
  const fragment = { index: 0, id: "a", type: "function" as const, function: { name: "f", arguments: '{"x"' } };
  for (const _ of events.push(piece({ tool_calls: [fragment] })));
  for (const _ of events.finish(piece({}, "length"), USAGE));
  const { content, stop_reason } = events.message as any;
  assert.deepEqual(content, [{ type: "tool_use", id: "a", name: "f", input: {} }]);
  assert.equal(stop_reason, "max_tokens");
});

Deno.test("every event of a message is named", async () => {
  const blocks = await readBlocks(
    await startApp({ tokens: TOKENS }).post(PATH, { max_tokens: 99, messages, stream: true }),
  );
  for (const block of blocks) {
    const [, name, data] = /^event: (\S+)\ndata: (.*)$/.exec(block)!;
    assert.equal(JSON.parse(data).type, name);
  }
});
