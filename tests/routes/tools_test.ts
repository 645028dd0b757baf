import assert from "node:assert/strict";
import OpenAI from "openai";
import { listen } from "../../src/routes/listener.ts";
import type { ChatTemplate } from "../../src/text/chat_template.ts";
import { byteTokens, fakeChatTemplate, TOKEN } from "../support/fake_text.ts";
import { readError, startApp } from "./harness.ts";

const PATH = "/v1/chat/completions";
const messages = [{ role: "user" as const, content: "What is 1 + 2?" }];
const model = "fake-model";
const ADD = {
  type: "function" as const,
  function: {
    name: "add",
    parameters: {
      type: "object",
      properties: { a: { type: "integer" }, b: { type: "integer" } },
      required: ["a", "b"],
    },
  },
};
const SAY = { type: "function" as const, function: { name: "say" } };
const tools = [ADD, SAY];
const template = (source: string, prompt = ""): ChatTemplate => ({
  ...fakeChatTemplate,
  source,
  ...prompt && { render: () => ({ text: prompt, encoding: {}, messages: [] }) },
});
const HERMES = template("<tool_call>");
const allowed = (mode: string, ...names: string[]) => ({
  type: "allowed_tools",
  allowed_tools: { mode, tools: names.map((name) => ({ type: "function", function: { name } })) },
});
const CALLS =
  'I add.\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>\n<tool_call>\n{"name": "say", "arguments": {}}\n</tool_call>';

function withClient(
  name: string,
  answer: string,
  chatTemplate: ChatTemplate,
  body: (client: OpenAI, engine: ReturnType<typeof startApp>["engine"]) => Promise<void>,
): void {
  Deno.test(name, async () => {
    // Pieces of three bytes, so that marks are cut.
    const { app, engine } = startApp({ tokens: [...byteTokens(answer), TOKEN.end], batch: 3 }, {}, chatTemplate);
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

withClient(
  "openai gets the same calls streamed, not streamed and through its helper",
  CALLS,
  HERMES,
  async (client) => {
    const whole = await client.chat.completions.create({ model, messages, tools });
    const [{ message, finish_reason }] = whole.choices;
    assert.equal(finish_reason, "tool_calls");
    assert.equal(message.content, "I add.");
    const calls = message.tool_calls!.map((call) =>
      call.type === "function" && [call.function.name, call.function.arguments]
    );
    assert.deepEqual(calls, [["add", '{"a": 1, "b": 2}'], ["say", "{}"]]);
    assert.equal(new Set(message.tool_calls!.map(({ id }) => id)).size, 2);

    const helped = await client.chat.completions.stream({ model, messages, tools }).finalChatCompletion();
    assert.deepEqual(
      helped.choices[0].message.tool_calls!.map((call) =>
        call.type === "function" && [call.function.name, call.function.arguments]
      ),
      calls,
    );
    assert.equal(helped.choices[0].finish_reason, "tool_calls");

    const fragments: unknown[] = [];
    for await (const { choices } of await client.chat.completions.create({ model, messages, tools, stream: true })) {
      for (const { index, id, type, function: called } of choices[0].delta.tool_calls ?? []) {
        fragments.push([index, typeof id, type, called]);
      }
    }
    assert.deepEqual(fragments, [
      [0, "string", "function", { name: "add", arguments: "" }],
      [0, "undefined", undefined, { arguments: '{"a": 1, "b": 2}' }],
      [1, "string", "function", { name: "say", arguments: "" }],
      [1, "undefined", undefined, { arguments: "{}" }],
    ]);
  },
);

withClient("openai runs tools", CALLS, HERMES, async (client, engine) => {
  const seen: unknown[] = [];
  const runner = client.chat.completions.runTools({
    model,
    messages,
    tools: [{
      type: "function" as const,
      function: {
        ...ADD.function,
        description: "Adds.",
        parse: (text: string) => JSON.parse(text),
        function: (given: object) => (seen.push(given), "3"),
      },
    }],
  }, { maxChatCompletions: 2 });
  await runner.done().catch(() => {});
  assert.deepEqual(seen[0], { a: 1, b: 2 });
  assert.equal(engine.requests.length, 2);
});

withClient("calls are left in the text where nothing can be called", CALLS, HERMES, async (client) => {
  for (const body of [{}, { tools, tool_choice: "none" as const }, { tools, parse_tool_calls: false }]) {
    const { choices: [{ message, finish_reason }] } = await client.chat.completions.create({
      model,
      messages,
      ...body,
    });
    assert.deepEqual([message.content, message.tool_calls, finish_reason], [CALLS, undefined, "stop"]);
  }
});

withClient("parallel_tool_calls false leaves one call", CALLS, HERMES, async (client) => {
  const { choices: [{ message }] } = await client.chat.completions.create({
    model,
    messages,
    tools,
    parallel_tool_calls: false,
  });
  assert.equal(message.tool_calls!.length, 1);
});

Deno.test("what is no call stays text, and nothing fails", async () => {
  const answers = [
    '<tool_call>\n{"name": "add", "arguments": {"a": 1',
    "<tool_call>{]</tool_call>",
    '<tool_call>{"name": "fly", "arguments": {}}</tool_call>',
    "<tool_call>",
  ];
  for (const answer of answers) {
    const { post } = startApp({ tokens: [...byteTokens(answer), TOKEN.end] }, {}, HERMES);
    const { choices: [choice] } = await (await post(PATH, { messages, tools })).json();
    assert.equal(choice.message.content, answer);
    assert.equal(choice.message.tool_calls, undefined);
    assert.equal(choice.finish_reason, "stop");
  }
});

Deno.test("a required call is asked of the engine as a grammar, behind what begins a call", async () => {
  const { post, engine } = startApp(
    { tokens: [...byteTokens('{"name": "add", "arguments": {"a": 1, "b": 2}}'), TOKEN.end] },
    {},
    HERMES,
  );
  for (const tool_choice of ["required", { type: "function", function: { name: "add" } }]) {
    const { choices: [{ message, finish_reason }] } = await (await post(PATH, { messages, tools, tool_choice })).json();
    assert.equal(message.content, null);
    assert.equal(message.tool_calls[0].function.arguments, '{"a": 1, "b": 2}');
    assert.equal(finish_reason, "tool_calls");
  }
  const [required, named] = engine.requests;
  const prompt = new TextDecoder().decode(Uint8Array.from(required.prompt.subarray(1)));
  assert.ok(prompt.endsWith("assistant:<tool_call>\n"), prompt);
  assert.match(required.grammar!, /"\{\\"name\\": \\"say\\", \\"arguments\\": "/);
  assert.doesNotMatch(named.grammar!, /say/);
  assert.equal(required.reasoning, undefined);
});

withClient(
  "openai gets calls that the grammar has held to a strict tool's schema, or text",
  'Sure: {"name": "add"}',
  template("anything"),
  async (client, engine) => {
    const strict = { ...ADD, function: { ...ADD.function, strict: true } };
    const { choices: [{ message }] } = await client.chat.completions.create({ model, messages, tools: [strict, SAY] });
    assert.equal(message.content, 'Sure: {"name": "add"}');
    await client.chat.completions.create({ model, messages, tools });
    await client.responses.create({
      model,
      input: "Hi",
      tools: [{ type: "function", name: "add", parameters: ADD.function.parameters, strict: true }],
    });
    const [held, free, response] = engine.requests;
    assert.match(held.grammar!, /"\{\\"name\\": \\"add\\", \\"arguments\\": "/);
    assert.equal(free.grammar, undefined);
    assert.match(response.grammar!, /add/);
  },
);

withClient(
  "openai gets strict calls of a model whose mark of calls is no token",
  CALLS,
  HERMES,
  async (client, engine) => {
    const strict = { ...ADD, function: { ...ADD.function, strict: true } };
    const { choices: [{ message }] } = await client.chat.completions.create({ model, messages, tools: [strict, SAY] });
    assert.equal(message.tool_calls?.length, 2);
    const [{ grammar, grammarAfter }] = engine.requests;
    assert.match(grammar!, /begun_0/);
    assert.equal(grammarAfter, undefined);
  },
);

withClient("openai is told which tool's schema cannot be held to", CALLS, HERMES, async (client, engine) => {
  const odd = { type: "function" as const, function: { name: "odd", strict: true, parameters: { not: {} } } };
  for (const tool_choice of ["required", "auto"] as const) {
    const unsupported: any = await client.chat.completions.create({ model, messages, tools: [odd], tool_choice })
      .catch((error) => error);
    assert.ok(unsupported instanceof OpenAI.BadRequestError);
    assert.deepEqual([unsupported.code, unsupported.param], ["unsupported_grammar", "tools"]);
    assert.match(unsupported.message, /the parameters of odd/);
  }
  assert.equal(engine.requests.length, 0);
});

Deno.test("a required call comes behind the thoughts of a model that thinks", async () => {
  const thinker = template("<tool_call> </think>", "<think>\n");
  const answer = 'Hm.</think><tool_call>\n{"name": "say", "arguments": {}}';
  const { post, engine } = startApp({ tokens: [...byteTokens(answer), TOKEN.end] }, {}, thinker);
  // The fake vocabulary has no token that ends thoughts.
  const error = await readError(await post(PATH, { messages, tools, tool_choice: "required" }));
  assert.deepEqual([error.status, error.code], [400, "unsupported_reasoning"], error.message);
  assert.equal(engine.requests.length, 0);
  const { choices: [{ message }] } = await (await post(PATH, { messages, tools })).json();
  assert.deepEqual([message.reasoning_content, message.content], ["Hm.", null]);
  assert.equal(message.tool_calls[0].function.name, "say");
});

for (const mode of ["auto", "required"] as const) {
  const seen: unknown[] = [];
  const watched: ChatTemplate = {
    ...HERMES,
    render({ tools }) {
      seen.push(...(tools ?? []) as Map<string, Map<string, unknown>>[]);
      return { text: "x", encoding: {}, messages: [] };
    },
  };
  withClient(
    `openai gets calls of allowed tools alone, ${mode}`,
    // What begins a required call is in the prompt.
    mode === "auto" ? CALLS : CALLS.slice(CALLS.indexOf("{")),
    watched,
    async (client, engine) => {
      const { choices: [{ message, finish_reason }] } = await client.chat.completions.create({
        model,
        messages,
        tools,
        tool_choice: {
          type: "allowed_tools",
          allowed_tools: { mode, tools: [{ type: "function", function: { name: "add" } }] },
        },
      });
      assert.equal(finish_reason, "tool_calls");
      assert.deepEqual(message.tool_calls!.map((call) => call.type === "function" && call.function.name), ["add"]);
      assert.deepEqual(seen, [new Map<string, unknown>([["type", "function"], ["function", mapOf(ADD.function)]])]);
      const [{ grammar }] = engine.requests;
      if (mode === "auto") assert.equal(grammar, undefined);
      else {
        assert.match(grammar!, /add/);
        assert.doesNotMatch(grammar!, /say/);
        assert.match(grammar!, /tool_call/, "several calls may follow each other");
      }
    },
  );
}

/** An object as templates get it. */
function mapOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(mapOf);
  if (typeof value !== "object" || value === null) return value;
  return new Map(Object.entries(value).map(([key, inner]) => [key, mapOf(inner)]));
}

Deno.test("choices among tools that cannot be are refused by name", async () => {
  const cases: [fields: object, param: string][] = [
    [{ tool_choice: "required" }, "tool_choice"],
    [{ tools, tool_choice: { type: "function", function: { name: "fly" } } }, "tool_choice"],
    [{ tools, tool_choice: "perhaps" }, "tool_choice"],
    [{ tools, tool_choice: allowed("perhaps", "add") }, "tool_choice"],
    [{ tools, tool_choice: allowed("required") }, "tool_choice.allowed_tools.tools"],
    [{ tools, tool_choice: { type: "allowed_tools", mode: "auto", tools: [SAY] } }, "tool_choice"],
    [{ tools, tool_choice: allowed("auto", "add", "fly") }, "tool_choice.allowed_tools.tools[1].function.name"],
    [{ tool_choice: allowed("required", "add") }, "tool_choice.allowed_tools.tools[0].function.name"],
    [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
    [
      { tools, response_format: { type: "json_schema", json_schema: { schema: { not: {} } } } },
      "response_format.json_schema.schema",
    ],
    [{
      tools: [{ type: "function", function: { name: "f", parameters: { type: "object", not: {} } } }],
      tool_choice: "required",
    }, "tools"],
  ];
  for (const [fields, param] of cases) {
    const { post } = startApp({ tokens: [] }, {}, HERMES);
    const error = await readError(await post(PATH, { messages, ...fields }));
    assert.deepEqual([error.status, error.param], [400, param], error.message);
  }
});
