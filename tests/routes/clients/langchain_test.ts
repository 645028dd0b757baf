import assert from "node:assert/strict";
import { ChatOpenAI, OpenAI } from "@langchain/openai";
import { byteTokens, TOKEN } from "../../support/fake_text.ts";
import { startApp, withServer } from "../harness.ts";

const TEXT = "Grüße, 世界 😀";
const TOKENS = [...byteTokens(TEXT), TOKEN.end];

for (const useResponsesApi of [false, true]) {
  Deno.test(`@langchain/openai gets the same text whole and streamed${useResponsesApi ? ", as a response" : ""}`, async () => {
    await withServer(startApp({ tokens: TOKENS }), async (url) => {
      const model = new ChatOpenAI({
        model: "fake-model",
        apiKey: "key",
        maxRetries: 0,
        useResponsesApi,
        configuration: { baseURL: `${url}/v1` },
      });
      const whole = await model.invoke("Hi");
      assert.equal(whole.text, TEXT);
      assert.equal(whole.usage_metadata!.output_tokens, TOKENS.length);
      let streamed = "";
      for await (const chunk of await model.stream("Hi")) streamed += chunk.text;
      assert.equal(streamed, TEXT);
    });
  });
}

Deno.test("@langchain/openai completes a text, and is told what is wrong with a request", async () => {
  await withServer(startApp({ tokens: TOKENS }), async (url) => {
    const model = new OpenAI({
      model: "fake-model",
      apiKey: "key",
      maxRetries: 0,
      maxTokens: 100,
      configuration: { baseURL: `${url}/v1` },
    });
    assert.equal(await model.invoke("x"), TEXT);
    await assert.rejects(model.invoke("x".repeat(999)), /maximum context length/);
  });
});
