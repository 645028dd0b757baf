/** @file Whole conversations in templates of every family's style against Jinja2, from tools/golden/chat_templates.py. */

import assert from "node:assert/strict";
import { type ChatMessage, loadChatTemplate } from "../../src/text/chat_template.ts";
import { ggufTokenizer } from "../../src/text/gguf_tokenizer.ts";
import { jsonMembers, type JsonValue, parseJson } from "../../src/text/json_text.ts";
import { fakeGguf, sentencePieceMetadata } from "../support/tokenizers.ts";

const GOLDEN = new URL("../golden/", import.meta.url);

/** By template and case: with and without the beginning of an answer; null where Jinja2 fails. */
const golden: Readonly<Record<string, Readonly<Record<string, readonly (string | null)[]>>>> = JSON.parse(
  await Deno.readTextFile(new URL("chat_templates.json", GOLDEN)),
);

const bodies = (await Deno.readTextFile(new URL("conversations.jsonl", GOLDEN))).trimEnd().split("\n").map((line) => {
  const members = jsonMembers(line);
  const exact = (name: string) => members.has(name) ? parseJson(members.get(name)!) : undefined;
  return {
    ...JSON.parse(line) as { case: string; messages: ChatMessage[] },
    tools: exact("tools") as JsonValue[] | undefined,
    kwargs: exact("chat_template_kwargs") as Map<string, JsonValue> | undefined,
  };
});

/** Names of the functions that a conversation calls, with the place of their message. */
function calledNames(messages: readonly ChatMessage[]): { name: string; index: number }[] {
  return messages.flatMap((message, index) =>
    (message.tool_calls as { function: { name: string } }[] | null ?? []).map((call) => ({
      name: call.function.name,
      index,
    }))
  );
}

for (const [name, expected] of Object.entries(golden)) {
  Deno.test(`The template ${name} renders ${bodies.length} conversations as Jinja2 does, or refuses to lose a call`, async () => {
    const source = await Deno.readTextFile(new URL(`chat_templates/${name}.jinja`, GOLDEN));
    const metadata = sentencePieceMetadata([], { "tokenizer.chat_template": source });
    const chat = await loadChatTemplate(fakeGguf(metadata), ggufTokenizer(metadata));
    for (const { case: title, messages, tools, kwargs } of bodies) {
      for (const addGenerationPrompt of [true, false]) {
        const prompt = expected[title][addGenerationPrompt ? 0 : 1];
        const render = () => chat.render({ messages, tools, kwargs, addGenerationPrompt }).text;
        const lost = prompt === null ? undefined : calledNames(messages).find(({ name }) => !prompt.includes(name));
        if (lost !== undefined) {
          assert.throws(
            render,
            { message: new RegExp(`leaves the tool calls of messages\\[${lost.index}\\] out`) },
            title,
          );
        } else if (prompt === null) assert.throws(render, { name: "ChatTemplateError" }, title);
        else assert.equal(render(), prompt, title);
      }
    }
  });
}
