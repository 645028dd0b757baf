import assert from "node:assert/strict";
import { type ChatMessage, loadChatTemplate } from "../../src/text/chat_template.ts";
import { ggufTokenizer } from "../../src/text/gguf_tokenizer.ts";
import { messageRows } from "../../src/text/message_ranges.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { EMBEDDED_MODEL } from "../../src/serving/embedded_model.ts";
import { openModel } from "../../src/formats/open.ts";
import { fakeGguf, sentencePieceMetadata } from "../support/tokenizers.ts";
import { fakeTokenizer } from "../support/fake_text.ts";

const TALK: ChatMessage[] = [
  { role: "system", content: "  Be kind, for ümlaute are 😀.  " },
  { role: "user", content: [{ type: "text", text: "user" }, { type: "text", text: "asks" }] },
  { role: "assistant", content: "" },
  { role: "assistant", content: "Hi! " },
  { role: "user", content: "Be kind" },
];
const SAID = ["Be kind, for ümlaute are 😀.", "user\nasks", "Hi!", "Be kind"];

/** What the tokens of each range spell. */
function spelled(
  tokenizer: Tokenizer,
  tokens: Uint32Array,
  ranges: readonly { start: number; end: number }[],
): string[] {
  return ranges.map(({ start, end }) =>
    tokenizer.decode(tokens.slice(start, end), { skipSpecial: false, continuation: true })
  );
}

Deno.test("messageRows() finds what each message says among the tokens of the model that comes with Ebb", async () => {
  const file = await openModel(EMBEDDED_MODEL);
  const { loadTokenizer } = await import("../../src/text/load_tokenizer.ts");
  const tokenizer = await loadTokenizer(file);
  const template = await loadChatTemplate(file, tokenizer);
  file.close();
  const { text, encoding, messages } = template.render({ messages: TALK });
  assert.deepEqual(messages.map(({ role, start, end }) => [role, text.slice(start, end)]), [
    ["system", SAID[0]],
    ["user", SAID[1]],
    ["assistant", SAID[2]],
    ["user", SAID[3]],
  ]);
  const tokens = tokenizer.encode(text, encoding);
  const rows = await messageRows(tokenizer, text, tokens, messages);
  assert.deepEqual(rows.map(({ role }) => role), ["system", "user", "assistant", "user"]);
  // A token may hold a space or a line beside what was said.
  spelled(tokenizer, tokens, rows).forEach((said, i) => assert.equal(said.trim(), SAID[i].trim()));
});

Deno.test("messageRows() counts the begin token and the space before the first word, which are not in the text", async () => {
  const template = "{% for message in messages %}{{ message.content }}{% endfor %}";
  const tokenizer = ggufTokenizer(
    sentencePieceMetadata(["▁", "▁Hi", "H", "i", "▁H"], { "tokenizer.chat_template": template }),
  );
  const { text, encoding, messages } =
    (await loadChatTemplate(fakeGguf({ "tokenizer.chat_template": template }), tokenizer))
      .render({ messages: [{ role: "user", content: "Hi" }], addGenerationPrompt: false });
  const tokens = tokenizer.encode(text, encoding);
  const [{ start, end }] = await messageRows(tokenizer, text, tokens, messages);
  assert.equal(end, tokens.length);
  assert.equal(tokenizer.decode(tokens.slice(start, end)).trim(), "Hi");
});

Deno.test("messageRows() finds rows by their share of the text where tokens do not spell it", async () => {
  const tokens = fakeTokenizer.encode("x".repeat(50));
  const rows = await messageRows(fakeTokenizer, "x".repeat(100), tokens, [{ role: "user", start: 50, end: 100 }]);
  assert.equal(rows[0].end, tokens.length);
  // The begin token is one of the 51 that share 100 characters: 26 of them end at 50.98, behind the first 50.
  assert.equal(rows[0].start, 25);
  assert.deepEqual(await messageRows(fakeTokenizer, "abc", fakeTokenizer.encode("abc"), []), []);
});

Deno.test("messageRows() pauses every few thousand tokens", async () => {
  const text = "x".repeat(20_000);
  let pauses = 0;
  const pause = () => Promise.resolve(void pauses++);
  const tokens = fakeTokenizer.encode(text);
  const [row] = await messageRows(fakeTokenizer, text, tokens, [{ role: "user", start: 0, end: text.length }], pause);
  assert.deepEqual([row.start, row.end], [1, 20_001]);
  assert.ok(pauses >= 4, `${pauses}`);
});
