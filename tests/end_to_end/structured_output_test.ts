import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { TestServer } from "../support/server.ts";

const MODEL = new URL("../../models/ebb-mini.gguf", import.meta.url).pathname;
const server = await TestServer.start(MODEL, "--max-batch", "4");
const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "key", maxRetries: 0 });
const model = "ebb-mini";
const messages = [{ role: "user" as const, content: "Tell me about the garden." }];
/** `[`, with which an answer in the generic form begins to be a call. */
const OPENING_BRACKET = "96";
// Bounded, as a small model may go on and on: an answer that is cut is none to the client.
const Garden = z.object({
  name: z.string().max(12),
  size: z.number(),
  open: z.boolean(),
  trees: z.array(z.string().max(9)).max(3),
});

Deno.test("openai parses answers under a schema, streamed or not, hot or cold", async () => {
  const response_format = zodResponseFormat(Garden, "garden");
  for (const temperature of [0, 1]) {
    const body = { model, messages, response_format, temperature, seed: 5, max_tokens: 400 };
    const { choices: [{ message }] } = await client.chat.completions.parse({ ...body });
    const stream = client.chat.completions.stream({ ...body });
    const streamed = await stream.finalChatCompletion();
    assert.deepEqual(Garden.parse(message.parsed), message.parsed);
    assert.deepEqual(streamed.choices[0].message.parsed, message.parsed);
  }
});

Deno.test("openai gets answers of a grammar of its own, in EBNF and in Lark's form, streamed or not", async () => {
  const ebnf = 'root ::= sum\nsum ::= number (" + " number)*\nnumber ::= [1-9] [0-9]{0,2}';
  const lark = 'start: NUMBER (" + " NUMBER)*\nNUMBER: /[1-9][0-9]{0,2}/';
  for (const grammar of [{ guided_grammar: ebnf }, { structured_outputs: { grammar: lark } }]) {
    const body = { model, messages, temperature: 1, seed: 5, max_tokens: 40, ...grammar };
    const { choices: [{ message }] } = await client.chat.completions.create(body);
    assert.match(message.content!, /^[1-9]\d{0,2}( \+ [1-9]\d{0,2})*$/);
    const streamed = await client.chat.completions.stream({ ...body, stream: true }).finalChatCompletion();
    assert.equal(streamed.choices[0].message.content, message.content);
  }
  const wrong = { model, messages, guided_grammar: "root ::= other" };
  await assert.rejects(
    client.chat.completions.create(wrong),
    (error: any) =>
      error instanceof OpenAI.BadRequestError && error.param === "guided_grammar" &&
      error.code === "unsupported_grammar",
  );
});

Deno.test("an answer that max_tokens cuts is valid all the same", async () => {
  const schema = { type: "object", properties: { story: { type: "string", minLength: 100 } }, required: ["story"] };
  const reply = await client.chat.completions.create({
    model,
    messages,
    max_tokens: 60,
    response_format: { type: "json_schema", json_schema: { name: "story", schema } },
    logit_bias: { "2": -100 },
  });
  const [{ message, finish_reason }] = reply.choices;
  const isValid = new Ajv2020().compile(schema);
  assert.ok(isValid(JSON.parse(message.content!)), message.content!);
  assert.ok(["stop", "length"].includes(finish_reason));
});

Deno.test("required calls have the arguments that their tool asks for", async () => {
  const parameters = {
    type: "object",
    properties: {
      city: { type: "string" },
      days: { type: "integer", minimum: 1, maximum: 9 },
      unit: { enum: ["C", "F"] },
    },
    required: ["city", "days", "unit"],
    additionalProperties: false,
  };
  const isValid = new Ajv2020().compile(parameters);
  const tools = [{ type: "function" as const, function: { name: "forecast", parameters } }];
  const body = { model, messages, tools, tool_choice: "required" as const, seed: 3, max_tokens: 300 };
  const whole = await client.chat.completions.create(body);
  const streamed = await client.chat.completions.stream(body).finalChatCompletion();
  for (const { choices: [{ message, finish_reason }] } of [whole, streamed]) {
    assert.equal(finish_reason, "tool_calls");
    const [call] = message.tool_calls!;
    assert.ok(call.type === "function" && call.function.name === "forecast");
    assert.ok(isValid(JSON.parse(call.function.arguments)), call.function.arguments);
  }
});

Deno.test("calls that max_tokens cuts are whole calls, of which one less was made", async () => {
  const parameters = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
  const tools = [{ type: "function" as const, function: { name: "add", parameters } }];
  for (const max_tokens of [30, 37, 44, 60, 90]) {
    const body = {
      model,
      messages,
      tools,
      tool_choice: "required" as const,
      temperature: 1,
      seed: max_tokens,
      max_tokens,
    };
    const { choices: [{ message }] } = await client.chat.completions.create(body);
    assert.ok(message.tool_calls!.length > 0);
    assert.equal(message.content, null, `${max_tokens} tokens`);
    for (const call of message.tool_calls!) {
      if (call.type === "function") assert.ok(Number.isInteger(JSON.parse(call.function.arguments).a));
    }
  }
});

Deno.test("strict tools, as openai's helper makes them, get arguments that their schema allows, or no call", async () => {
  const tools = [zodFunction({ name: "plant", parameters: Garden })];
  let calls = 0;
  for (const logit_bias of [undefined, { [OPENING_BRACKET]: 100 }]) {
    const body = { model, messages, tools, temperature: 1, seed: 4, max_tokens: 400, logit_bias };
    const { choices: [{ message }] } = await client.chat.completions.parse({ ...body, parallel_tool_calls: false });
    for (const call of message.tool_calls ?? []) {
      assert.equal(call.type, "function");
      if (call.type !== "function") continue;
      calls++;
      assert.deepEqual(Garden.parse(call.function.parsed_arguments), call.function.parsed_arguments);
    }
  }
  assert.ok(calls > 0, "an answer that begins like a call is one");
});

Deno.test("openai gets calls or parsed answers where it sends tools and a format, streamed or not", async () => {
  const tools = [zodFunction({ name: "plant", parameters: Garden })];
  const response_format = zodResponseFormat(Garden, "garden");
  const seen = { calls: 0, answers: 0 };
  for (const logit_bias of [undefined, { [OPENING_BRACKET]: 100 }]) {
    const body = { model, messages, tools, response_format, temperature: 1, seed: 6, max_tokens: 400, logit_bias };
    const whole = await client.chat.completions.parse({ ...body, parallel_tool_calls: false });
    const streamed = await client.chat.completions.stream(body).finalChatCompletion();
    for (const { choices: [{ message }] } of [whole, streamed]) {
      if (message.parsed !== null) {
        assert.deepEqual(Garden.parse(message.parsed), message.parsed);
        seen.answers++;
        continue;
      }
      for (const call of message.tool_calls!) {
        if (call.type === "function") Garden.parse(call.function.parsed_arguments);
      }
      seen.calls += message.tool_calls!.length;
    }
  }
  assert.ok(seen.calls > 0 && seen.answers > 0, JSON.stringify(seen));
});

Deno.test("completions keep to choices", async () => {
  const body = { model, prompt: "Yes or no?", max_tokens: 10, guided_choice: ["yes", "no"] };
  const { choices: [{ text }] } = await client.completions.create(body as typeof body & { prompt: string });
  assert.ok(["yes", "no"].includes(text), text);
});

// It ends what was started beside the tests, which is what the sanitizers are there to find.
Deno.test({
  name: "the server ends",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await server.untilIdle();
    assert.equal((await server.stop()).code, 0);
  },
});
