import assert from "node:assert/strict";
import OpenAI from "openai";
import { HttpError } from "../../../src/routes/errors.ts";
import type { ChatDelta } from "../../../src/routes/generation/chat.ts";
import { ResponseEvents } from "../../../src/routes/responses/events.ts";
import { eventStream, namedEvent } from "../../../src/routes/sse.ts";
import { byteTokens, fakeTokenizer, TOKEN } from "../../support/fake_text.ts";
import { readBlocks, readError, startApp, until, withServer } from "../harness.ts";

const TEXT = "Grüße, 世界 😀";
const TOKENS = [...byteTokens(TEXT), TOKEN.end];
const model = "fake-model";
const PATH = "/v1/responses";

const promptOf = (app: ReturnType<typeof startApp>) => fakeTokenizer.decode(app.engine.requests.at(-1)!.prompt);

/** The events of a stream, each with the name that goes before it. */
async function readNamedEvents(response: Response): Promise<any[]> {
  return (await readBlocks(response)).map((block) => {
    const [, name, data] = /^event: (\S+)\ndata: (.*)$/.exec(block)!;
    const event = JSON.parse(data);
    assert.equal(event.type, name);
    return event;
  });
}

Deno.test("openai's responses get the same text whole, streamed and through the helper", async () => {
  await withServer(startApp({ tokens: TOKENS }), async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "key", maxRetries: 0 });
    const whole = await client.responses.create({ model, input: "Hi", instructions: "Be short" });
    assert.equal(whole.output_text, TEXT);
    assert.equal(whole.status, "completed");
    assert.equal(whole.usage!.output_tokens, TOKENS.length);
    assert.equal(whole.usage!.total_tokens, whole.usage!.input_tokens + TOKENS.length);

    const streamed: string[] = [];
    const types: string[] = [];
    for await (const event of await client.responses.create({ model, input: "Hi", stream: true })) {
      assert.equal(event.sequence_number, types.length);
      types.push(event.type);
      if (event.type === "response.output_text.delta") streamed.push(event.delta);
    }
    assert.equal(streamed.join(""), TEXT);
    assert.deepEqual([...new Set(types)], [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);

    const final = await client.responses.stream({ model, input: "Hi" }).finalResponse();
    assert.equal(final.output_text, TEXT);
    assert.deepEqual(final.output.map(({ type }) => type), ["message"]);
  });
});

Deno.test("a response that its limit cuts is incomplete, in its item too", async () => {
  const app = startApp({ tokens: TOKENS });
  const reply = await (await app.post(PATH, { input: "Hi", max_output_tokens: 3 })).json();
  assert.equal(reply.status, "incomplete");
  assert.deepEqual(reply.incomplete_details, { reason: "max_output_tokens" });
  assert.equal(reply.output[0].status, "incomplete");
  assert.equal(reply.usage.output_tokens, 3);
});

Deno.test("items become messages: one system message, calls beside the text and thoughts that they came with", async () => {
  const app = startApp({ tokens: [TOKEN.end] });
  await app.post(PATH, {
    instructions: "Be short",
    input: [
      { role: "developer", content: [{ type: "input_text", text: "And kind" }] },
      {
        type: "message",
        role: "user",
        content: [{ type: "input_text", text: "A" }, { type: "input_text", text: "B" }],
      },
      {
        type: "message",
        id: "msg_1",
        role: "assistant",
        content: [{ type: "output_text", text: "C", annotations: [] }],
      },
      { role: "user", content: "D" },
    ],
  });
  assert.equal(promptOf(app), "system: Be short\n\nAnd kind\nuser: A\nB\nassistant: C\nuser: D\nassistant:");
});

Deno.test("a tool's call and its result reach the template as chat completions would send them", async () => {
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
    `{"tools": [
      {"type": "web_search"},
      {"type": "function", "name": "f", "parameters": {"2": 1.0, "1": 12345678901234567890}}
    ],
    "input": [
      {"role": "user", "content": "A"},
      {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
      {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
      {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{\\"a\\": 1}"},
      {"type": "function_call_output", "call_id": "c1", "output": "1"},
      {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "2"}]}
    ]}`,
  );
  assert.equal(response.status, 200);
  const call = (id: string, args: string) => ({ id, type: "function", function: { name: "f", arguments: args } });
  assert.deepEqual(seen.messages, [
    { role: "user", content: "A" },
    {
      role: "assistant",
      content: null,
      reasoning_content: "hm",
      tool_calls: [call("c1", "{}"), call("c2", '{"a": 1}')],
    },
    { role: "tool", content: "1", tool_call_id: "c1" },
    { role: "tool", content: "2", tool_call_id: "c2" },
  ]);
  assert.equal(seen.tools.length, 1);
  const definition = seen.tools[0].get("function");
  assert.deepEqual([...definition.keys()], ["name", "parameters"]);
  assert.deepEqual([...definition.get("parameters").keys()], ["2", "1"]);
  assert.equal(definition.get("parameters").get("1"), 12345678901234567890n);
});

for (
  const [fields, param] of [
    [{ previous_response_id: "resp_1" }, "previous_response_id"],
    [{ conversation: "conv_1" }, "conversation"],
    [{ background: true }, "background"],
    [{ truncation: "auto" }, "truncation"],
    [{ input: [] }, "input"],
    [{ input: [{ type: "item_reference", id: "msg_1" }] }, "input[0].type"],
    [{ input: [{ role: "user", content: [{ type: "input_image", image_url: "x" }] }] }, "input[0].content"],
    [{ temperature: -1 }, "temperature"],
    [{ max_output_tokens: 9999 }, "input"],
    [{ tool_choice: { type: "function", name: "g" } }, "tool_choice"],
    [{ input: "x".repeat(999) }, "input"],
    [{ context_management: [{ type: "compaction", compact_threshold: 9 }] }, "context_management"],
    [{ moderation: { model: "x" } }, "moderation"],
    // As chat completions have them.
    [{ messages: [] }, "messages"],
    [{ max_tokens: 3 }, "max_tokens"],
    [{ max_completion_tokens: 3 }, "max_completion_tokens"],
    [{ response_format: { type: "json_object" } }, "response_format"],
    [{ reasoning_effort: "low" }, "reasoning_effort"],
    [{ logprobs: true }, "logprobs"],
    [{ n: 2 }, "n"],
    [{ text: { format: { type: "grammar" } } }, "text.format.type"],
    [{ text: { format: { type: "json_schema", schema: 3 } } }, "text.format.schema"],
    [{ text: { format: { type: "json_schema", schema: { properties: { a: { not: {} } } } } } }, "text.format.schema"],
    [{ metadata: { a: 1 } }, "metadata.a"],
  ] as const
) {
  Deno.test(`a request for a response is refused for its ${JSON.stringify(fields).slice(0, 60)}`, async () => {
    const app = startApp({ tokens: TOKENS });
    const error = await readError(await app.post(PATH, { input: "Hi", ...fields }));
    assert.equal(error.status, 400);
    assert.equal(error.param, param);
    assert.equal(app.engine.generations.length, 0);
  });
}

Deno.test("what OpenAI's clients send without asking for anything is taken", async () => {
  const app = startApp({ tokens: TOKENS });
  const response = await app.post(PATH, {
    model,
    input: "Hi",
    store: false,
    previous_response_id: null,
    tools: [{ type: "web_search" }, { type: "custom", name: "patch" }],
    tool_choice: "auto",
    parallel_tool_calls: false,
    include: ["reasoning.encrypted_content"],
    prompt_cache_key: "k",
    truncation: "disabled",
    text: { format: { type: "text" } },
    background: false,
    context_management: [],
    moderation: null,
  });
  assert.equal(response.status, 200);
  assert.equal((await response.json()).store, false);
});

Deno.test("log-probabilities of a response come with its text, if they are included", async () => {
  const app = startApp({ tokens: [TOKEN.hello, TOKEN.world, TOKEN.end] });
  const include = ["message.output_text.logprobs"];
  const whole = await (await app.post(PATH, { input: "Hi", include, top_logprobs: 1 })).json();
  const { logprobs } = whole.output[0].content[0];
  assert.deepEqual(logprobs.map(({ token }: any) => token), ["Hello", " world"]);
  assert.equal(logprobs[0].top_logprobs.length, 1);
  const events = await readNamedEvents(await app.post(PATH, { input: "Hi", include, top_logprobs: 1, stream: true }));
  const streamed = events.filter(({ type }) => type === "response.output_text.delta").flatMap((e) => e.logprobs);
  assert.deepEqual(streamed, logprobs);
});

Deno.test("a response that fails says why in its last event", async () => {
  const app = startApp({ tokens: [TOKEN.hello], failure: "The GPU was lost" });
  const events = await readNamedEvents(await app.post(PATH, { input: "Hi", stream: true }));
  const last = events.at(-1);
  assert.equal(last.type, "response.failed");
  assert.deepEqual(last.response.error, { code: "generation_failed", message: "The GPU was lost" });
  assert.equal((await app.post(PATH, { input: "Hi" })).status, 500);
});

Deno.test("openai breaking off a response stops the generation", async () => {
  const app = startApp({ tokens: Array(200).fill(TOKEN.one), delay: 2 });
  await withServer(app, async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "key", maxRetries: 0 });
    for await (const event of await client.responses.create({ model, input: "x", stream: true })) {
      if (event.type === "response.output_text.delta") break;
    }
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
function clientOf(deltas: readonly Partial<ChatDelta>[]) {
  async function* source() {
    const events = new ResponseEvents({ id: "resp_1", object: "response", model, tools: [] });
    yield* events.start();
    for (const delta of deltas) {
      const rest = { completionTokens: 0, finishReason: null, stopString: null };
      const piece = { index: 0, delta: {}, tokens: [], ...rest, ...delta };
      yield* events.push(piece);
      if (piece.finishReason) yield* events.finish(piece.finishReason, USAGE);
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
  return new OpenAI({ apiKey: "key", fetch: () => Promise.resolve(new Response(body(), { headers })) });
}

Deno.test("openai puts thoughts, text and calls that come in pieces together", async () => {
  const call = (index: number, args: string, first = {}) => ({
    delta: { tool_calls: [{ index, ...first, function: { arguments: args, ...(first as any).function } }] },
  });
  const client = clientOf([
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
  const { output, output_text, usage } = await client.responses.stream({ model, input: "x" }).finalResponse();
  assert.equal(output_text, "I call");
  assert.deepEqual(
    output.map((
      item: any,
    ) => [item.type, item.status, item.name ?? item.content[0].text, item.arguments, item.call_id]),
    [
      ["reasoning", "completed", "Let me think", undefined, undefined],
      ["message", "completed", "I call", undefined, undefined],
      ["function_call", "completed", "f", '{"x":1}', "a"],
      ["function_call", "completed", "g", "{}", "b"],
    ],
  );
  assert.equal(usage!.input_tokens_details.cached_tokens, 2);
});
