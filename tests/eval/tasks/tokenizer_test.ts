import assert from "node:assert/strict";
import { generateTask, TASK_FAMILY_NAMES } from "../../../src/eval/tasks/families.ts";
import { tokenCounter } from "../../../src/eval/tasks/token_counter.ts";
import * as words from "../../../src/eval/tasks/words.ts";
import { openModel } from "../../../src/formats/open.ts";
import { loadChatTemplate } from "../../../src/text/chat_template.ts";
import { loadTokenizer } from "../../../src/text/load_tokenizer.ts";
import type { Tokenizer } from "../../../src/text/tokenizer.ts";
import { learnVocabulary, SPECIAL_TOKENS, splitWords } from "../../../tools/train/bpe.ts";
import { WordCachedEncoder } from "../../../tools/train/tokenizer.ts";

const MODEL = new URL("../../../models/ebb-mini.gguf", import.meta.url).pathname;
const file = await openModel(MODEL);
const tokenizer: Tokenizer = await loadTokenizer(file);
const template = await loadChatTemplate(file, tokenizer);
file.close();

/** A vocabulary as the trainer keeps it, from the model's metadata. */
const encoder = new WordCachedEncoder({
  tokens: file.metadata["tokenizer.ggml.tokens"] as string[],
  scores: [...file.metadata["tokenizer.ggml.scores"] as Iterable<number>],
  types: [...file.metadata["tokenizer.ggml.token_type"] as Iterable<number>],
});

Deno.test("Training text has the tokens that the server gives the same chat", () => {
  for (const family of TASK_FAMILY_NAMES) {
    const countTokens = tokenCounter(tokenizer);
    const request = { length: 700, seed: 5, split: "evaluation", countTokens } as const;
    const { prompt, reply, answerPrefix } = generateTask(family, request);
    const chat = template.render({ messages: [{ role: "user", content: prompt }] }).text;
    assert.equal(chat, `<s><|user|>${prompt}<|assistant|>`);
    const [begin, user, assistant] = ["<s>", "<|user|>", "<|assistant|>"].map((name) => tokenizer.idOf(name)!);
    assert.deepEqual([...tokenizer.encode(chat)], [begin, user, ...encoder.encode(prompt), assistant]);
    const tokens = encoder.encode(prompt).length;
    assert.equal(countTokens(prompt), tokens);
    assert.ok(tokens <= 700 && tokens > 680, `${family}: ${tokens} of 700 tokens`);
    const begun = tokenizer.encode(chat + answerPrefix);
    assert.deepEqual(tokenizer.encode(chat + reply).slice(0, begun.length), begun, `${answerPrefix} of ${reply}`);
  }
});

Deno.test("Words of the tasks are one token each, also those of names kept for evaluation", () => {
  const lists = [words.FIRST_NAMES, words.LAST_NAMES, words.ADJECTIVES, words.OBJECTS, words.TOWNS, words.ROOMS];
  for (const word of lists.flat()) assert.equal(encoder.encode(word).length, 1, word);
});

Deno.test("Any text comes back from its tokens, by bytes where it has to", () => {
  for (const text of ["Nora's café costs 12 €.", "  two  spaces\n\tand a tab", "日本"]) {
    assert.equal(tokenizer.decode(tokenizer.encode(text, { addSpecial: false })), text);
  }
});

Deno.test("Byte-pair encoding merges the most frequent pair first, and never across words", () => {
  const counts = new Map<string, number>();
  for (const word of splitWords(" ab ab ab abc. ab")) counts.set(word, (counts.get(word) ?? 0) + 1);
  assert.deepEqual([...counts], [["▁ab", 4], ["▁abc", 1], [".", 1]]);
  const { tokens, scores } = learnVocabulary(counts, 10_000);
  const merges = tokens.slice(SPECIAL_TOKENS.length + 256).filter((token) => token.length > 1);
  assert.deepEqual(merges, ["▁a", "▁ab", "▁abc"]);
  const scoreOf = (token: string) => scores[tokens.indexOf(token)];
  assert.ok(scoreOf("▁a") > scoreOf("▁ab") && scoreOf("▁ab") > scoreOf("▁abc"));
});
