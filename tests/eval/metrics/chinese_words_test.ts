import assert from "node:assert/strict";
import { chineseWords } from "../../../src/eval/metrics/chinese_words.ts";

/** What Python's jieba gives, see tools/golden/chinese_words.py. */
const GOLDEN: readonly string[][] = JSON.parse(
  await Deno.readTextFile(new URL("../../golden/chinese_words.json", import.meta.url)),
);

Deno.test("Chinese words among Latin ones, numbers, punctuation and white space are cut as jieba cuts them", () => {
  for (const words of GOLDEN) assert.deepEqual(chineseWords(words.join("")), words);
});
