import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { generateText, jsonSchema, tool } from "ai";
import { byteTokens, fakeChatTemplate, TOKEN } from "../../support/fake_text.ts";
import { startApp, withServer } from "../harness.ts";

const ANSWER =
  '<think>\nHm.\n</think>\n\nI add.\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>';
const TEMPLATE = { ...fakeChatTemplate, source: "<tool_call>{{ content.split('</think>') }}" };
const model = "fake-model";
const parameters = {
  type: "object" as const,
  properties: { a: { type: "integer" as const }, b: { type: "integer" as const } },
  required: ["a", "b"],
};

// Pieces of three bytes, so that marks are cut.
const start = () => startApp({ tokens: [...byteTokens(ANSWER), TOKEN.end], batch: 3 }, {}, TEMPLATE);

Deno.test("openai's responses have thoughts, text and calls as items, streamed and not", async () => {
  await withServer(start(), async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "key", maxRetries: 0 });
    // Of the fake vocabulary no token begins a call, so that none can be held to its schema.
    const tools = [{ type: "function" as const, name: "add", parameters, strict: false }];
    const body = { model, input: "Hi", tools };
    for (const response of [await client.responses.create(body), await client.responses.stream(body).finalResponse()]) {
      const [thoughts, message, call] = response.output as any[];
      assert.deepEqual(response.output.map(({ type }) => type), ["reasoning", "message", "function_call"]);
      assert.equal(thoughts.content[0].text, "Hm.");
      assert.equal(message.content[0].text.trim(), "I add.");
      assert.deepEqual([call.name, JSON.parse(call.arguments)], ["add", { a: 1, b: 2 }]);
      assert.equal(response.status, "completed");
    }
  });
});

Deno.test("@anthropic-ai/sdk gets thoughts, text and calls as blocks, streamed and not", async () => {
  await withServer(start(), async (url) => {
    const client = new Anthropic({ baseURL: url, apiKey: "key", maxRetries: 0 });
    const tools = [{ name: "add", input_schema: parameters }];
    const body = { model, max_tokens: 150, tools, messages: [{ role: "user" as const, content: "Hi" }] };
    for (const message of [await client.messages.create(body), await client.messages.stream(body).finalMessage()]) {
      const [thoughts, text, call] = message.content as any[];
      assert.deepEqual(message.content.map(({ type }) => type), ["thinking", "text", "tool_use"]);
      assert.equal(thoughts.thinking, "Hm.");
      assert.equal(text.text.trim(), "I add.");
      assert.deepEqual([call.name, call.input], ["add", { a: 1, b: 2 }]);
      assert.equal(message.stop_reason, "tool_use");
    }
  });
});

Deno.test("@ai-sdk/anthropic gets calls", async () => {
  await withServer(start(), async (url) => {
    const { toolCalls, finishReason } = await generateText({
      model: createAnthropic({ baseURL: `${url}/v1`, apiKey: "key" })(model),
      prompt: "Hi",
      maxOutputTokens: 150,
      maxRetries: 0,
      tools: { add: tool({ description: "Adds", inputSchema: jsonSchema(parameters) }) },
    });
    assert.deepEqual(toolCalls.map(({ toolName, input }) => [toolName, input]), [["add", { a: 1, b: 2 }]]);
    assert.equal(finishReason, "tool-calls");
  });
});
