import assert from "node:assert/strict";
import { qaF1Chinese, retrievalChinese, rougeLChinese } from "../../../src/eval/metrics/chinese.ts";
import { classification } from "../../../src/eval/metrics/classification.ts";
import { count } from "../../../src/eval/metrics/count.ts";
import { editSimilarity } from "../../../src/eval/metrics/edit_similarity.ts";
import { needleRecall } from "../../../src/eval/metrics/needle_recall.ts";
import { digitRuns, splitWords } from "../../../src/eval/metrics/python_text.ts";
import { qaF1 } from "../../../src/eval/metrics/qa_f1.ts";
import { retrieval } from "../../../src/eval/metrics/retrieval.ts";
import { rougeL } from "../../../src/eval/metrics/rouge_l.ts";
import { roundHalfEven } from "../../../src/eval/metrics/rounding.ts";
import { similarityRatio } from "../../../src/eval/metrics/sequence_matcher.ts";
import { stringMatchAll, stringMatchPart } from "../../../src/eval/metrics/string_match.ts";

/** What the Python originals give, see tools/golden/metrics.py. */
const GOLDEN: {
  readonly rouge: readonly [prediction: string, reference: string, score: number][];
  readonly ratio: readonly [first: string, second: string, percentage: number][];
  readonly text: readonly { text: string; words: string[]; digits: string[] }[];
  readonly qa: readonly [prediction: string, answer: string, score: number][];
  readonly round: readonly [value: number, two: number, none: number][];
} = JSON.parse(await Deno.readTextFile(new URL("../../golden/metrics.json", import.meta.url)));

function near(actual: number, expected: number, message?: string) {
  assert.ok(Math.abs(actual - expected) < 1e-12, `${actual} is not ${expected}${message ? `: ${message}` : ""}`);
}

Deno.test("ROUGE-L is that of the Python package rouge", () => {
  for (const [prediction, reference, score] of GOLDEN.rouge) {
    near(rougeL(prediction, reference), score, JSON.stringify([prediction, reference]));
  }
});

Deno.test("Edit similarity is that of fuzzywuzzy on difflib", () => {
  for (const [first, second, percentage] of GOLDEN.ratio) {
    const ratio = first === second ? 1 : first === "" || second === "" ? 0 : similarityRatio(first, second);
    assert.equal(roundHalfEven(100 * ratio, 0), percentage, JSON.stringify([first, second]));
  }
});

Deno.test("Words and digits are found as Python finds them", () => {
  for (const { text, words, digits } of GOLDEN.text) {
    assert.deepEqual(splitWords(text), words, JSON.stringify(text));
    assert.deepEqual(digitRuns(text), digits, JSON.stringify(text));
  }
});

Deno.test("Numbers are rounded as Python rounds them", () => {
  for (const [value, two, none] of GOLDEN.round) {
    assert.equal(roundHalfEven(value, 2), two);
    assert.equal(roundHalfEven(value, 0), none);
  }
});

Deno.test("QA-F1 counts shared words, without articles, punctuation and case", () => {
  assert.equal(qaF1("The Cat!", "a cat"), 1);
  assert.equal(qaF1("dog", "cat"), 0);
  assert.equal(qaF1("", "cat"), 0);
  assert.equal(qaF1("the", "the"), 0);
  // "Gates v. Collier" and "Miller v. California" share one of three words each.
  near(qaF1("Gates v. Collier", "Miller v. California"), 1 / 3);
  // 2 of 3 predicted words, 2 of 4 right ones: 2 * 2/3 * 1/2 / (2/3 + 1/2).
  near(qaF1("red red green", "red red blue blue"), 4 / 7);
  // Repeated words count as often as both have them: 1 of 3, 1 of 1.
  near(qaF1("no no no", "no"), 1 / 2);
  // Punctuation is deleted, not made a space.
  assert.equal(qaF1("well-known", "wellknown"), 1);
  assert.equal(qaF1("well-known", "well known"), 0);
});

Deno.test("QA-F1 ends words where Python ends them", () => {
  for (const [prediction, answer, score] of GOLDEN.qa) {
    near(qaF1(prediction, answer), score, JSON.stringify([prediction, answer]));
  }
  // An article is a word of its own, whatever the script around it.
  assert.equal(qaF1("éa", "é"), 0);
  assert.equal(qaF1("的 a", "的"), 1);
});

Deno.test("ROUGE-L counts each common word once, over all pairs of sentences", () => {
  // One sentence: LCS "a c" of 3 and 2 different words, R 2/3, P 1, F 0.8.
  assert.ok(Math.abs(rougeL("a c", "a b c") - 0.8) < 1e-7);
  // The paper's example (Lin 2004): r = w1..w5; LCS with c1 is {w1 w2}, with c2 {w1 w3 w5}: union 4 of 5 words of r and
  // of 8 different words of the prediction.
  const expected = 2 * (4 / 5) * (4 / 8) / (4 / 5 + 4 / 8);
  assert.ok(Math.abs(rougeL("w1 w2 w6 w7 w8. w1 w3 w8 w9 w5", "w1 w2 w3 w4 w5") - expected) < 1e-7);
  assert.equal(rougeL("", "a"), 0);
  assert.equal(rougeL("...", "a"), 0);
});

Deno.test("Edit similarity looks at the first line that is code", () => {
  assert.equal(editSimilarity("\n\n```\n# note\n// note\nreturn x\nreturn y", "return x"), 1);
  assert.equal(editSimilarity("# only a note", "return x"), 0);
  assert.equal(editSimilarity("", ""), 1);
  // 4 + 4 characters, "bcd" in common: 6/8.
  assert.equal(editSimilarity("abcd", "bcde"), 0.75);
  // 2 * 1 / 3 is 66.67 per cent, which is given as 67.
  assert.equal(editSimilarity("ab", "a"), 0.67);
});

Deno.test("Classification shares the point among the classes that are named", () => {
  const classes = ["Date", "City", "Other", "Other location", "Other entity"];
  assert.equal(classification("City", "City", classes), 1);
  assert.equal(classification("City or Date", "City", classes), 1 / 2);
  assert.equal(classification("Date", "City", classes), 0);
  assert.equal(classification("no idea", "City", classes), 0);
  // "Other" is only there as a part of the right class.
  assert.equal(classification("Other location", "Other location", classes), 1);
  // But it counts beside another class.
  assert.equal(classification("Other entity", "City", classes), 0);
});

Deno.test("Classification passes over the class after a removed one, as the original does", () => {
  // "ab" goes; "abc", next to it in the list, would go too, but is not looked at and shares the point.
  assert.equal(classification("abcd", "abcd", ["ab", "abc", "abcd"]), 1 / 2);
});

Deno.test("Count and retrieval share the point among the numbers that are given", () => {
  assert.equal(count("There are 8", "8"), 1);
  assert.equal(count("8 of 10, or 08", "8"), 1 / 3);
  assert.equal(count("eight", "8"), 0);
  assert.equal(retrieval("Paragraph 15", "Paragraph 15"), 1);
  assert.equal(retrieval("15, 15, 3, 4", "Paragraph 15"), 1 / 2);
  assert.equal(retrieval("none", "Paragraph 15"), 0);
  assert.throws(() => retrieval("15", "15"), { message: 'An answer must be of the form "Paragraph 15", not "15"' });
});

Deno.test("RULER's metrics look for the answers anywhere, in any case", () => {
  assert.equal(stringMatchAll("ABC and def", ["abc", "DEF", "ghi", "jkl"]), 1 / 2);
  assert.equal(stringMatchAll("18090293.", ["8090293"]), 1);
  assert.equal(stringMatchPart("in Paris.", ["London", "paris"]), 1);
  assert.equal(stringMatchPart("in Rome", ["London", "paris"]), 0);
});

Deno.test("Needle recall is the share of the needle's different words", () => {
  // eat a sandwich and sit in dolores park on sunny day.: 11 different words, "a" being there twice.
  const needle = "eat a sandwich and sit in Dolores Park on a sunny day.";
  assert.equal(needleRecall(needle, needle), 1);
  assert.equal(needleRecall("Eat a sandwich, and sit", needle), 4 / 11);
  assert.equal(needleRecall("", needle), 0);
});

Deno.test("Chinese F1 counts jieba's words, unknown ones guessed, without punctuation, in lower case", () => {
  const close = (value: number, expected: number) => assert.ok(Math.abs(value - expected) < 1e-6, `${value}`);
  // 我 来到 北京 清华大学, of which one is missing.
  close(qaF1Chinese("我来到清华大学", "我来到北京清华大学"), 6 / 7);
  // 他 来到 了 网易 杭研 大厦; 杭研 is in no dictionary.
  close(qaF1Chinese("杭研", "他来到了网易杭研大厦"), 2 / 7);
  close(qaF1Chinese("「Transformer」。", "transformer"), 1);
  // LongBench's list of marks has one of these brackets, but not the other: it stays as a word.
  close(qaF1Chinese("《Transformer》。", "transformer"), 2 / 3);
  close(qaF1Chinese("……", "北京"), 0);
});

Deno.test("Chinese ROUGE-L is that of jieba's words", () => {
  assert.ok(Math.abs(rougeLChinese("我来到清华大学", "我来到北京清华大学") - 6 / 7) < 1e-6);
  assert.equal(rougeLChinese("", "北京"), 0);
});

Deno.test("Chinese retrieval looks for the paragraph's number among those of the prediction", () => {
  assert.equal(retrievalChinese("段落15", "段落15"), 1);
  assert.equal(retrievalChinese("段落1或者15", "段落15"), 0.5);
  assert.throws(() => retrievalChinese("段落15", "Paragraph 15"), /must be of the form "段落15"/);
});
