import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { byteTokens, TOKEN } from "../../support/fake_text.ts";
import { startApp, withServer } from "../harness.ts";

(globalThis as { AI_SDK_LOG_WARNINGS?: boolean }).AI_SDK_LOG_WARNINGS = false;

const TEXT = "Grüße, 世界 😀";
const TOKENS = [...byteTokens(TEXT), TOKEN.end];
const id = "fake-model";

/** The model of each provider, for a server. */
const PROVIDERS = {
  "@ai-sdk/openai-compatible": (url: string) =>
    createOpenAICompatible({ name: "ebb", baseURL: `${url}/v1`, includeUsage: true })(id),
  "@ai-sdk/anthropic": (url: string) => createAnthropic({ baseURL: `${url}/v1`, apiKey: "key" })(id),
};

for (const [name, modelOf] of Object.entries(PROVIDERS)) {
  Deno.test(`${name} gets the same text whole and streamed, with its usage`, async () => {
    await withServer(startApp({ tokens: TOKENS }), async (url) => {
      const model = modelOf(url);
      const options = { model, prompt: "Hi", maxOutputTokens: 100, maxRetries: 0 };
      const whole = await generateText(options);
      assert.equal(whole.text, TEXT);
      assert.equal(whole.finishReason, "stop");
      assert.equal(whole.usage.outputTokens, TOKENS.length);

      const stream = streamText(options);
      let streamed = "";
      for await (const piece of stream.textStream) streamed += piece;
      assert.equal(streamed, TEXT);
      assert.deepEqual([await stream.finishReason, (await stream.usage).outputTokens], ["stop", TOKENS.length]);
    });
  });

  Deno.test(`${name} is told what is wrong with a request, and what failed within a stream`, async () => {
    await withServer(startApp({ tokens: [TOKEN.hello], failure: "The GPU was lost" }), async (url) => {
      const model = modelOf(url);
      const bad: any = await generateText({ model, prompt: "x".repeat(999), maxRetries: 0 }).catch((error) => error);
      assert.equal(bad.statusCode, 400);
      assert.match(bad.message, /maximum context length/);

      const errors: unknown[] = [];
      const stream = streamText({
        model,
        prompt: "Hi",
        maxRetries: 0,
        onError: ({ error }) => void errors.push(error),
      });
      for await (const _ of stream.textStream);
      assert.match(JSON.stringify(errors) + String(errors[0]), /The GPU was lost/);
    });
  });
}
