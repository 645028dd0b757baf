import assert from "node:assert/strict";
import type { ChatTemplate } from "../../src/text/chat_template.ts";
import { byteTokens, fakeChatTemplate, TOKEN } from "../support/fake_text.ts";
import { readError, readEvents, startApp } from "./harness.ts";

const PATH = "/v1/chat/completions";
const messages = [{ role: "user", content: "Hi" }];
const THINKER: ChatTemplate = { ...fakeChatTemplate, source: "{{ content.split('</think>') }}" };
const begun = (prompt: string): ChatTemplate => ({
  ...THINKER,
  render: () => ({ text: prompt, encoding: {}, messages: [] }),
});

function answering(answer: string, template = THINKER) {
  return startApp({ tokens: [...byteTokens(answer), TOKEN.end], batch: 2 }, {}, template);
}

async function messageOf(answer: string, fields: object = {}, template = THINKER) {
  const { post } = answering(answer, template);
  const reply = await (await post(PATH, { messages, ...fields })).json();
  return reply.choices[0].message;
}

Deno.test("thoughts are reasoning_content, apart from the answer", async () => {
  assert.deepEqual(await messageOf("<think>\nHm.\n</think>\n\nYes."), {
    role: "assistant",
    content: "Yes.",
    refusal: null,
    reasoning_content: "Hm.",
  });
  assert.equal((await messageOf("Yes.")).reasoning_content, undefined);
  const open = await messageOf("Hm.</think>Yes.", {}, begun("assistant: <think>\n"));
  assert.deepEqual([open.reasoning_content, open.content], ["Hm.", "Yes."]);
  const closed = await messageOf("Yes.", {}, begun("assistant: <think>\n\n</think>\n\n"));
  assert.deepEqual([closed.reasoning_content, closed.content], [undefined, "Yes."]);
});

Deno.test("thoughts are streamed as such", async () => {
  const { post } = answering("<think>\nHm, well.\n</think>\n\nYes.");
  const events = await readEvents(await post(PATH, { messages, stream: true }));
  const deltas = events.map(({ choices }) => choices[0].delta);
  assert.deepEqual(deltas[0], { role: "assistant", content: "" });
  assert.equal(deltas.map(({ reasoning_content }) => reasoning_content ?? "").join(""), "Hm, well.");
  assert.equal(deltas.map(({ content }) => content ?? "").join(""), "Yes.");
  assert.ok(deltas.filter(({ reasoning_content }) => reasoning_content).length > 2);
  assert.ok(deltas.every((delta) => !("content" in delta && "reasoning_content" in delta)));
});

Deno.test("thoughts can be left out, or in the text", async () => {
  const answer = "<think>Hm.</think>Yes.";
  const hidden = await messageOf(answer, { include_reasoning: false });
  assert.deepEqual([hidden.reasoning_content, hidden.content], [undefined, "Yes."]);
  assert.equal((await messageOf(answer, { reasoning_format: "none" })).content, answer);
  assert.equal((await messageOf(answer, {}, fakeChatTemplate)).content, answer);
});

Deno.test("a budget needs a token that ends thoughts, and is nothing where there are none", async () => {
  for (const field of ["thinking_token_budget", "reasoning_budget"]) {
    const { post, engine } = answering("Yes.");
    const error = await readError(await post(PATH, { messages, [field]: 5 }));
    assert.deepEqual([error.status, error.param, error.code], [400, field, "unsupported_reasoning"], error.message);
    const plain = answering("Yes.", fakeChatTemplate);
    assert.equal((await plain.post(PATH, { messages, [field]: 5 })).status, 200);
    assert.equal(plain.engine.requests[0].reasoning, undefined);
    assert.equal(engine.requests.length, 0);
  }
});

Deno.test("a grammar without a token for the marks leaves no room for thoughts that are only possible", async () => {
  const { post, engine } = answering("yes");
  assert.equal((await post(PATH, { messages, guided_choice: ["yes"] })).status, 200);
  assert.ok(engine.requests[0].grammar);
  assert.equal(engine.requests[0].reasoning, undefined);
});
