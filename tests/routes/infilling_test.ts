/** @file `suffix` of `POST /v1/completions`, on a tokenizer that has tokens for it. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { createApp } from "../../src/routes/app.ts";
import { ggufTokenizer } from "../../src/text/gguf_tokenizer.ts";
import { FakeEngine } from "../support/fake_engine.ts";
import { fakeChatTemplate } from "../support/fake_text.ts";
import { registry } from "../support/policies.ts";
import { withServer } from "./harness.ts";

const TOKENS = [..."abcdef(", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>"];
const id = (text: string) => TOKENS.indexOf(text);
const [PREFIX, SUFFIX, MIDDLE, END] = [7, 8, 9, 10];
const ids = (text: string) => [...text].map(id);

const tokenizer = ggufTokenizer({
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.pre": "gpt-2",
  "tokenizer.ggml.tokens": TOKENS,
  "tokenizer.ggml.merges": [],
  "tokenizer.ggml.eos_token_id": END,
});

Deno.test("openai gets what comes between a prompt and a suffix, streamed and not", async () => {
  const engine = new FakeEngine({ script: () => ({ tokens: [...ids("dad"), END] }) });
  const text = { tokenizer, encode: (text: string, task = {}) => Promise.resolve(tokenizer.encode(text, task)) };
  const app = createApp({ engine, text, chatTemplate: fakeChatTemplate, options: { policies: registry } });
  await withServer({ app }, async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "key", maxRetries: 0 });
    const asked = { model: "fake-model", prompt: "ab(", suffix: "fed", max_tokens: 9 };
    const whole = await client.completions.create(asked);
    assert.deepEqual([whole.choices[0].text, whole.choices[0].finish_reason], ["dad", "stop"]);
    assert.equal(whole.usage!.prompt_tokens, 9);
    let streamed = "";
    for await (const chunk of await client.completions.create({ ...asked, stream: true })) {
      streamed += chunk.choices[0].text;
    }
    assert.equal(streamed, "dad");

    await client.completions.create({ ...asked, prompt: ["a", "", "bc"] });
    await client.completions.create({ ...asked, prompt: ids("cab") });
    await client.completions.create({ ...asked, suffix: "" });
    const infilling = (before: string) => [PREFIX, ...ids(before), SUFFIX, ...ids("fed"), MIDDLE];
    assert.deepEqual(
      engine.requests.map(({ prompt }) => [...prompt]),
      [...["ab(", "ab(", "a", "", "bc", "cab"].map(infilling), ids("ab(")],
    );
    const refused: any = await client.completions.create({ ...asked, echo: true }).catch((error) => error);
    assert.ok(refused instanceof OpenAI.BadRequestError);
    assert.equal(refused.param, "echo");
  });
});
