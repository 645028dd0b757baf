import assert from "node:assert/strict";
import { cutInTheMiddle, longBenchSample } from "../../../src/eval/suites/longbench/prompt.ts";
import { readRecords } from "../../../src/eval/suites/longbench/records.ts";
import { meanScore, scoreFolder, scorePrediction } from "../../../src/eval/suites/longbench/score.ts";
import { LONGBENCH_TASKS } from "../../../src/eval/suites/longbench/tasks.ts";
import { promptOf } from "../../../src/eval/suites/sample.ts";
import { withDirectory, withFile } from "../../support/files.ts";

const SHARED = new URL("../../../../shared/longbench/", import.meta.url).pathname;
const PUBLISHED = `${SHARED}predictions/llama3-8b-instruct`;
const hasShared = await Deno.stat(PUBLISHED).then(() => true, () => false);
if (!hasShared) {
  console.log("Skipping LongBench's published scores, prompts and records: ../shared/longbench is missing");
}

/** One token per word, with the spaces before it, and a begin token that is decoded to nothing. */
const wordTokenizer = {
  words: [""],
  encode(text: string) {
    const words = text.match(/\s*\S+|\s+$/g) ?? [];
    return Uint32Array.from([0, ...words.map((word) => this.words.push(word) - 1)]);
  },
  decode(tokens: Iterable<number>) {
    return [...tokens].map((token) => this.words[token]).join("");
  },
};

const RECORD = { input: "Who?", context: "It was Ann.", answers: ["Ann"], length: 3, classes: null };

Deno.test({
  name: "The published scores of all sixteen English tasks are reproduced",
  ignore: !hasShared,
  async fn() {
    const published = JSON.parse(await Deno.readTextFile(`${PUBLISHED}/result.json`));
    const scores = await scoreFolder(PUBLISHED);
    const chinese = ["dureader", "lsht", "multifieldqa_zh", "passage_retrieval_zh", "vcsum"];
    assert.deepEqual([...Object.keys(scores), ...chinese].sort(), Object.keys(LONGBENCH_TASKS).sort());
    for (const [task, score] of Object.entries(scores)) assert.equal(score, published[task], task);
  },
});

Deno.test({
  name: "Prompts and limits are the official ones",
  ignore: !hasShared,
  async fn() {
    const prompts = JSON.parse(await Deno.readTextFile(`${SHARED}config/dataset2prompt.json`));
    const limits = JSON.parse(await Deno.readTextFile(`${SHARED}config/dataset2maxlen.json`));
    for (const [task, { prompt, maxNewTokens }] of Object.entries(LONGBENCH_TASKS)) {
      assert.equal(prompt, prompts[task], task);
      assert.equal(maxNewTokens, limits[task], task);
    }
  },
});

Deno.test({
  name: "Records in LongBench's form are read",
  ignore: !hasShared,
  async fn() {
    const records = await readRecords(`${SHARED}records/trec.jsonl`);
    assert.equal(records.length, 8);
    assert.equal(records[0].length, 7727);
    for (const { answers, classes } of records) assert.ok(classes?.includes(answers[0]));
  },
});

Deno.test("A folder is scored task by task, whatever else lies in it", async () => {
  const files = {
    // 1 and 1/3 (one of three words each).
    "qasper.jsonl": '{"pred": "The cat.", "answers": ["dog", "a cat"], "all_classes": null, "length": 5}\n' +
      '{"pred": "Gates v. Collier", "answers": ["Miller v. California"], "all_classes": null, "length": 5}\n',
    // The first line counts: 1; two classes are named: 1/2; no newline at the end of the file.
    "trec.jsonl":
      '{"pred": "\\n\\nCity\\nDate", "answers": ["City"], "all_classes": ["City", "Date"], "length": 5}\n\n' +
      '{"pred": "City or Date", "answers": ["Date"], "all_classes": ["City", "Date"], "length": 5}',
    "passage_count.jsonl": '{"pred": "none", "answers": ["3"]}\n',
    "result.json": "{}",
  };
  const scores = await withDirectory(files, scoreFolder);
  assert.deepEqual(scores, { passage_count: 0, qasper: 66.67, trec: 75 });
});

Deno.test("All lines of a summary count, only the first of an example task", () => {
  const score = (task: string, prediction: string) =>
    scorePrediction(task, { prediction, answers: ["b"], classes: null });
  assert.equal(score("triviaqa", "\nb\nc c c"), 1);
  assert.equal(score("triviaqa", "c\nb"), 0);
  assert.equal(score("qasper", "\nb\nc c"), 1 / 2);
});

Deno.test("A mean of hundredths and a half goes to the even hundredth, as in Python", () => {
  // 124.25 / 200 = 62.125 %
  assert.equal(meanScore([...new Array(124).fill(1), 0.25, ...new Array(75).fill(0)]), 62.12);
});

/** Files of predictions that are refused, and what the message says after the folder's name. */
const REFUSED: readonly [name: string, content: string, message: RegExp][] = [
  ["qasper.jsonl", "", /\/qasper\.jsonl is empty: expected a prediction a line$/],
  ["qasper.jsonl", '{"pred": "a", "answers": ["a"]}\n{"pred": "a"', /\/qasper\.jsonl line 2 is not JSON: "\{\\"pred/],
  ["qasper.jsonl", "[1]", /\/qasper\.jsonl line 1 must be a JSON object, not "\[1\]"$/],
  [
    "qasper.jsonl",
    '{"answers": ["a"]}',
    /\/qasper\.jsonl line 1: the field "pred" must be a text, but it is missing$/,
  ],
  ["qasper.jsonl", '\n{"pred": 1, "answers": ["a"]}', /line 2: the field "pred" must be a text, not "1"$/],
  ["qasper.jsonl", '{"pred": "a", "answers": "a"}', /line 1: the field "answers" must be a list of texts, not /],
  ["qasper.jsonl", '{"pred": "a", "answers": []}', /line 1: the field "answers" must hold an answer, but it is empty$/],
  ["trec.jsonl", '{"pred": "a", "answers": ["a"]}', /line 1: the field "all_classes" must be the list of the task's /],
  [
    "trec.jsonl",
    '{"pred": "a", "answers": ["a"], "all_classes": [1]}',
    /"all_classes" must be a list of texts or null/,
  ],
  [
    "passage_retrieval_en.jsonl",
    '{"pred": "1", "answers": ["1"]}',
    /line 1: the field "answers" cannot be scored: An /,
  ],
  ["qasper_e.jsonl", "", /\/qasper_e\.jsonl belongs to no task that can be scored: expected TASK\.jsonl with one of /],
  ["notes.txt", "", /holds no predictions: expected files TASK\.jsonl, such as qasper\.jsonl$/],
];

for (const [name, content, message] of REFUSED) {
  Deno.test(`Predictions ${name} with ${JSON.stringify(content)} are refused`, async () => {
    await withDirectory({ [name]: content }, async (folder) => {
      await assert.rejects(scoreFolder(folder), { message });
    });
  });
}

Deno.test("A malformed record is refused by file, line and field", async () => {
  const good = { input: "", context: "c", answers: ["a"], length: 1, all_classes: null };
  for (
    const [change, message] of [
      [{ input: null }, /^[^:]*\/lcc\.jsonl line 2: the field "input" must be a text, not "null"$/],
      [{ context: undefined }, /line 2: the field "context" must be a text, but it is missing$/],
      [{ answers: [1] }, /line 2: the field "answers" must be a list of texts, not "\[1\]"$/],
      [{ answers: [] }, /line 2: the field "answers" must hold an answer, but it is empty$/],
      [{ length: -1 }, /line 2: the field "length" must be a whole number of at least 0, not "-1"$/],
      [{ all_classes: "a" }, /line 2: the field "all_classes" must be a list of texts or null, not /],
    ] as const
  ) {
    const lines = [good, { ...good, ...change }].map((record) => JSON.stringify(record)).join("\n");
    await withFile(lines, (path) => assert.rejects(readRecords(path), { message }), "lcc.jsonl");
  }
});

Deno.test("A file that is missing or no text is refused by name", async () => {
  await assert.rejects(readRecords("no-such.jsonl"), { message: /^no-such\.jsonl cannot be read: / });
  await withFile(new Uint8Array([0xff, 0xfe]), async (path) => {
    await assert.rejects(readRecords(path), { message: /\/lcc\.jsonl is not UTF-8 text: expected JSON objects/ });
  }, "lcc.jsonl");
});

Deno.test("A prompt that fits is the template with context and input in their places", () => {
  const record = { ...RECORD, context: "It cost {input} $& $1.", input: "How much? {context}" };
  const sample = longBenchSample("multifieldqa_en", 4, record, wordTokenizer, 1000);
  assert.equal(
    promptOf(sample),
    "Read the following text and answer briefly.\n\nIt cost {input} $& $1.\n\nNow, answer the following question based " +
      "on the above text, only give me the answer and do not output any other words.\n\nQuestion: How much? {context}\n" +
      "Answer:",
  );
  assert.ok(sample.context.endsWith("$1."));
  assert.equal(sample.index, 4);
  assert.equal(sample.truncated, false);
  assert.equal(sample.maxNewTokens, 64);
});

Deno.test("A prompt that is too long loses its middle, the question staying apart", () => {
  const record = { ...RECORD, context: "word ".repeat(1000) };
  const sample = longBenchSample("hotpotqa", 0, record, wordTokenizer, 101);
  assert.ok(sample.truncated);
  assert.ok(sample.context.startsWith("Answer the question based on the given passages."));
  assert.ok(sample.question.endsWith("Question: Who?\nAnswer:"));
  // Half of 101 tokens, rounded down, from either end; the begin token is one of them and has no text.
  assert.equal(promptOf(sample).match(/\S+/g)?.length, 99);
});

Deno.test("The cut keeps a text of exactly the limit and takes the first and last half of a longer one", () => {
  assert.equal(cutInTheMiddle("a b c", wordTokenizer, 4), "a b c");
  assert.equal(cutInTheMiddle("a b c d", wordTokenizer, 4), "a c d");
});
