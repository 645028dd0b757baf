import assert from "node:assert/strict";
import type { ChatMessage } from "../../src/text/chat_template.ts";
import { ConversationTemplate } from "../../src/text/conversation_template.ts";
import { fakeTokenizer } from "../support/fake_text.ts";
import { startApp } from "./harness.ts";

const PATH = "/apply-template";

async function apply(messages: readonly ChatMessage[], source: string) {
  const template = new ConversationTemplate(source, fakeTokenizer, {});
  const render = template.render.bind(template);
  const { post } = startApp({ tokens: [] }, {}, { source, stopStrings: [], render });
  const { prompt, count, tokens, messages: ranges } = await (await post(PATH, { messages })).json();
  assert.equal(count, tokens.length);
  return {
    prompt,
    roles: ranges.map(({ role }: any) => role),
    contents: ranges.map(({ characters }: any) => prompt.slice(...characters)),
    spelt: ranges.map(({ tokens: range }: any) => fakeTokenizer.decode(tokens.slice(...range))),
  };
}

Deno.test("/apply-template gives the prompt, and of each message the part that is its content", async () => {
  const messages = [
    { role: "system", content: "Grüße" },
    { role: "user", content: "世 😀" },
    { role: "assistant", content: "世 😀" },
    { role: "user", content: " trimmed\n" },
  ];
  const { prompt, roles, contents, spelt } = await apply(
    messages,
    "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>{% endfor %}",
  );
  const expected = messages.map(({ content }) => content.trim());
  assert.equal(prompt, "<system>Grüße</><user>世 😀</><assistant>世 😀</><user>trimmed</>");
  assert.deepEqual(roles, messages.map(({ role }) => role));
  assert.deepEqual(contents, expected);
  assert.deepEqual(spelt, expected);
});

Deno.test("/apply-template knows no place of what the template leaves out", async () => {
  const messages = [{ role: "system", content: "one" }, { role: "user", content: "two" }];
  const { prompt, contents } = await apply(messages, ">{{ messages[-1].content }}");
  assert.deepEqual([prompt, contents], [">two", ["two"]]);
});

Deno.test("/apply-template renders what a chat completion reads", async () => {
  const { app, post, engine } = startApp({ tokens: [] });
  const body = { messages: [{ role: "user", content: "Hi" }], max_tokens: 1 };
  const { prompt, tokens } = await (await post(PATH, body)).json();
  assert.equal(prompt, "user: Hi\nassistant:");
  await app.request("/v1/chat/completions", { method: "POST", body: JSON.stringify(body) });
  assert.deepEqual([...engine.requests[0].prompt], tokens);
});

Deno.test("/apply-template gives the text of each token where it is asked for", async () => {
  const template = new ConversationTemplate("{{ messages[0].content }}", fakeTokenizer, {});
  const render = template.render.bind(template);
  const { post } = startApp({ tokens: [] }, {}, { source: "", stopStrings: [], render });
  const reply = async (fields: object) =>
    await (await post(PATH, { messages: [{ role: "user", content: "ab" }], ...fields })).json();
  const { tokens, token_strs, prompt } = await reply({ return_token_strs: true });
  assert.equal(token_strs.length, tokens.length);
  assert.equal(prompt, "ab");
  assert.ok(token_strs.join("").endsWith("ab"));
  assert.equal((await reply({})).token_strs, undefined);
});
