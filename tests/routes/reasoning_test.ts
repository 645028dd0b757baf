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

Deno.test("an effort turns thoughts on or off, in every API that asks for one by it, unless the request says itself", async () => {
  const seen: unknown[] = [];
  const { post } = answering("Yes.", {
    ...THINKER,
    render(conversation) {
      const kwargs = conversation.kwargs as ReadonlyMap<string, unknown>;
      seen.push([kwargs.get("reasoning_effort"), kwargs.get("enable_thinking")]);
      return fakeChatTemplate.render(conversation);
    },
  });
  const asked: readonly [path: string, fields: object, seen: unknown][] = [
    [PATH, {}, [undefined, undefined]],
    [PATH, { reasoning_effort: "none" }, ["none", false]],
    [PATH, { reasoning_effort: "low" }, ["low", true]],
    [PATH, { reasoning_effort: "low", chat_template_kwargs: { enable_thinking: false } }, ["low", false]],
    ["/v1/responses", { input: "Hi", reasoning: { effort: "none" } }, ["none", false]],
    ["/v1/responses", { input: "Hi", reasoning: { effort: "high", summary: "auto" } }, ["high", true]],
    ["/v1/responses", { input: "Hi", reasoning: { summary: "auto" } }, [undefined, undefined]],
    // There, the two are apart.
    ["/v1/messages", { max_tokens: 9, output_config: { effort: "low" } }, ["low", undefined]],
    ["/v1/messages", { max_tokens: 9, output_config: { effort: "low" }, thinking: { type: "disabled" } }, [
      "low",
      false,
    ]],
    ["/v1/messages", { max_tokens: 9, thinking: { type: "adaptive" } }, [undefined, true]],
  ];
  for (const [path, fields, expected] of asked) {
    const body = path === "/v1/responses" ? fields : { messages, ...fields };
    const response = await post(path, body);
    assert.equal(response.status, 200, await response.text());
    assert.deepEqual(seen.pop(), expected, JSON.stringify(fields));
  }
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
