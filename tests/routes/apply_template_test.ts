import assert from "node:assert/strict";
import type { Conversation } from "../../src/text/chat_template.ts";
import { fakeTokenizer } from "../support/fake_text.ts";
import { startApp } from "./harness.ts";

const PATH = "/apply-template";

async function apply(messages: Conversation["messages"], template?: (conversation: Conversation) => string) {
  const render = template && ((conversation: Conversation) => ({ text: template(conversation), encoding: {} }));
  const { post } = startApp({ tokens: [] }, {}, render && { source: "", stopStrings: [], render });
  const { prompt, count, tokens, messages: ranges } = await (await post(PATH, { messages })).json();
  assert.equal(count, tokens.length);
  return {
    prompt,
    contents: ranges.map(({ characters }: any) => characters && prompt.slice(...characters)),
    spelt: ranges.map(({ tokens: range }: any) => range && fakeTokenizer.decode(tokens.slice(...range))),
  };
}

Deno.test("/apply-template gives the prompt, and of each message the part that is its content", async () => {
  const messages = [
    { role: "system", content: "Grüße" },
    { role: "user", content: "世 😀" },
    { role: "assistant", content: "世 😀" },
    { role: "user", content: " trimmed\n" },
  ];
  const { prompt, contents, spelt } = await apply(
    messages,
    ({ messages }) => messages.map(({ role, content }) => `<${role}>${(content as string).trim()}</>`).join("\n"),
  );
  const expected = messages.map(({ content }) => content.trim());
  assert.equal(prompt, "<system>Grüße</>\n<user>世 😀</>\n<assistant>世 😀</>\n<user>trimmed</>");
  assert.deepEqual(contents, expected);
  assert.deepEqual(spelt, expected);
});

Deno.test("/apply-template knows no place of what the template left out, or looked at", async () => {
  const messages = [{ role: "user", content: "one" }, { role: "user", content: "two" }];
  const last = await apply(messages, ({ messages }) => `>${messages.at(-1)!.content}`);
  assert.deepEqual(last.contents, [null, "two"]);
  const looked = await apply(messages, ({ messages }) => messages.map(({ content }) => `${content}`.length).join());
  assert.deepEqual([looked.prompt, looked.contents], ["3,3", [null, null]]);
});

Deno.test("/apply-template renders what a chat completion reads", async () => {
  const { app, post, engine } = startApp({ tokens: [] });
  const body = { messages: [{ role: "user", content: "Hi" }], max_tokens: 1 };
  const { prompt, tokens } = await (await post(PATH, body)).json();
  assert.equal(prompt, "user: Hi\nassistant:");
  await app.request("/v1/chat/completions", { method: "POST", body: JSON.stringify(body) });
  assert.deepEqual([...engine.requests[0].prompt], tokens);
});
