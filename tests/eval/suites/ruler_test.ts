import assert from "node:assert/strict";
import { promptOf, type Sample } from "../../../src/eval/suites/sample.ts";
import { readHotpot, readSquad } from "../../../src/eval/suites/ruler/question_sets.ts";
import { rulerSamples } from "../../../src/eval/suites/ruler/task.ts";
import { rulerTasks, type RulerTexts } from "../../../src/eval/suites/ruler/tasks.ts";
import { withFile } from "../../support/files.ts";

const OFFICIAL = new URL("../../../../shared/ruler/4096/niah_multikey_3.jsonl", import.meta.url).pathname;
const hasOfficial = await Deno.stat(OFFICIAL).then(() => true, () => false);
if (!hasOfficial) console.log("Skipping the form of RULER's own samples: ../shared/ruler is missing");

const MADE_UP = [
  ...["niah_single_1", "niah_single_2", "niah_single_3", "niah_multikey_1", "niah_multikey_2", "niah_multikey_3"],
  ...["niah_multivalue", "niah_multiquery", "vt", "cwe", "fwe"],
];

/** About what a tokenizer makes of English: pieces of up to four letters or digits, and marks. */
function countTokens(text: string): number {
  return text.match(/[a-z0-9]{1,4}|[^a-z0-9\s]/gi)?.length ?? 0;
}

function samplesOf(name: string, { maxTokens = 2048, samples = 4, seed = 7, texts = {} as RulerTexts } = {}): Sample[] {
  const options = { maxTokens, samples, seed, countTokens };
  return rulerSamples(name, rulerTasks(options, texts)[name], options);
}

function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

for (const name of MADE_UP) {
  Deno.test(`${name} fills the length without exceeding it, and is the same for the same seed`, () => {
    for (const maxTokens of [1024, 4096]) {
      const samples = samplesOf(name, { maxTokens });
      const { maxNewTokens, metric } = rulerTasks({ maxTokens, seed: 7, countTokens })[name];
      assert.deepEqual(samples.map(({ index }) => index), [0, 1, 2, 3]);
      assert.equal(new Set(samples.map(promptOf)).size, 4);
      for (const sample of samples) {
        const tokens = countTokens(promptOf(sample)) + maxNewTokens;
        assert.ok(tokens <= maxTokens && tokens >= 0.9 * maxTokens, `${tokens} of ${maxTokens}`);
        assert.equal(sample.maxNewTokens, maxNewTokens);
        assert.equal(sample.task, name);
        assert.equal(metric(`They are ${sample.answers.join(", ")}.`, sample.answers), 1);
        assert.equal(metric("I do not know", sample.answers), 0);
      }
      assert.deepEqual(samplesOf(name, { maxTokens, samples: 2 }), samples.slice(0, 2));
      assert.notEqual(promptOf(samplesOf(name, { maxTokens, seed: 8, samples: 1 })[0]), promptOf(samples[0]));
    }
  });
}

const NEEDLE = /One of the special magic (numbers|uuids) for (\S+) is: (\S+)\./g;
/** Needles in the haystack: how many of them, how many answers, and the singular. */
const NEEDLES: Readonly<Record<string, { needles?: number; answers: number; kind: string }>> = {
  niah_single_1: { needles: 1, answers: 1, kind: "number" },
  niah_single_2: { needles: 1, answers: 1, kind: "number" },
  niah_single_3: { needles: 1, answers: 1, kind: "uuid" },
  niah_multikey_1: { needles: 4, answers: 1, kind: "number" },
  niah_multikey_2: { answers: 1, kind: "number" },
  niah_multikey_3: { answers: 1, kind: "uuid" },
  niah_multivalue: { needles: 4, answers: 4, kind: "number" },
  niah_multiquery: { needles: 4, answers: 4, kind: "number" },
};

for (const [name, { needles, answers, kind }] of Object.entries(NEEDLES)) {
  Deno.test(`${name} hides each needle once and asks for what it says`, () => {
    for (const sample of samplesOf(name)) {
      const found = [...sample.context.matchAll(NEEDLE)];
      if (needles !== undefined) assert.equal(found.length, needles);
      else assert.ok(found.length > 20);
      assert.equal(sample.answers.length, answers);
      const asked = /for (.+) mentioned in the provided text\?$/.exec(sample.question)![1].split(/, and |, /);
      const said = asked.flatMap((key) => found.filter((match) => match[2] === key).map((match) => match[3]));
      assert.deepEqual(said.toSorted(), sample.answers.toSorted());
      for (const answer of sample.answers) {
        assert.equal(occurrences(promptOf(sample), answer), 1);
        assert.match(
          answer,
          kind === "number" ? /^\d{7}$/ : /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/,
        );
      }
      const plural = answers > 1 ? "s" : "";
      assert.ok(sample.context.startsWith(`${plural ? "Some" : "A"} special magic ${kind}${plural} `), sample.context);
      assert.ok(sample.answerPrefix.endsWith(plural ? " are" : " is"));
    }
  });
}

Deno.test("Needles lie at all depths of the prose", () => {
  const depths = samplesOf("niah_single_2", { samples: 40 }).map(({ context }) =>
    context.search(NEEDLE) / context.length
  );
  assert.ok(Math.min(...depths) < 0.15 && Math.max(...depths) > 0.85);
  // As many above the middle as below, within what chance does to forty samples.
  assert.ok(Math.abs(depths.filter((depth) => depth < 0.5).length - 20) < 14);
});

Deno.test("Prose that the user names is what needles are hidden in, again and again if it is short", () => {
  const [sample] = samplesOf("niah_multivalue", {
    texts: { essay: "Call me Ishmael. Some years  ago I went\nto sea." },
  });
  assert.ok(occurrences(sample.context, "Call me Ishmael.") > 50);
  const rest = sample.context.replace(/^[^\n]*\n/, "").replace(NEEDLE, "").replace(/\s+/g, " ").trim();
  assert.match(rest, /^(Call me Ishmael\. Some years ago I went to sea\. ?)+(\S+ ?)*$/);
});

Deno.test("vt: an interpreter finds the variables that are asked for, in the example too", () => {
  for (const { context, question, answers } of samplesOf("vt")) {
    const values = new Map<string, string>();
    for (const [, name, copied, literal] of context.matchAll(/^VAR ([A-Z]+) = (?:VAR ([A-Z]+) |(\d{5}))$/gm)) {
      assert.ok(!values.has(name));
      const value = copied ? values.get(copied) : literal;
      assert.ok(value !== undefined, `${copied} is used before it is set`);
      values.set(name, value);
    }
    const withValue = (value: string) => [...values.keys()].filter((name) => values.get(name) === value);
    assert.equal(values.size, 10);
    assert.deepEqual(withValue(/value (\d+)/.exec(question)![1]), answers);
    const example = /assigned the value (\d+), they are: {2}(.*)\n\n/.exec(context)!;
    assert.deepEqual(withValue(example[1]), example[2].split(" "));
  }
});

function counts(words: readonly string[]): [word: string, count: number][] {
  const found = new Map<string, number>();
  for (const word of words) found.set(word, (found.get(word) ?? 0) + 1);
  return [...found].sort((a, b) => b[1] - a[1]);
}

Deno.test("cwe: ten words occur more often than all others, as often as RULER says", () => {
  for (const [maxTokens, common, others] of [[2048, 6, 1], [4096, 30, 3]]) {
    for (const { context, answers } of samplesOf("cwe", { maxTokens })) {
      const [, list] = context.split(/\n(?=1\. )/).slice(1);
      const words = [...list.matchAll(/(\d+)\. (\S+)/g)];
      assert.deepEqual(words.map(([, number]) => Number(number)), words.map((_, i) => i + 1));
      const counted = counts(words.map(([, , word]) => word));
      assert.deepEqual(counted.slice(0, 10).map(([word]) => word).sort(), answers.toSorted());
      for (const [i, [, count]] of counted.entries()) assert.equal(count, i < 10 ? common : others);
    }
  }
});

Deno.test("cwe has words for long lists", () => {
  const [{ context, answers }] = samplesOf("cwe", { maxTokens: 40_000, samples: 1 });
  const counted = counts(context.split("\n").at(-1)!.match(/[a-z][\w-]*/g)!);
  assert.ok(counted.length > 1700);
  assert.deepEqual(counted.slice(0, 10).map(([word]) => word).sort(), answers.toSorted());
});

Deno.test("fwe: the three most frequent words behind the dots are the answers, one more frequent than the next", () => {
  for (const { context, answers } of samplesOf("fwe")) {
    const counted = counts(context.split("coded words. ")[1].split(" "));
    assert.deepEqual(counted.slice(0, 4).map(([word]) => word), ["...", ...answers]);
    for (let i = 1; i < 5; i++) assert.ok(counted[i][1] < counted[i - 1][1]);
    // Frequencies fall with the square of the rank, rounded down.
    assert.ok(Math.abs(counted[0][1] / counted[1][1] - 4) < 0.2);
    assert.ok(Math.abs(counted[0][1] / counted[2][1] - 9) < 0.6);
  }
});

Deno.test({
  name: "niah_multikey_3 has the form of RULER's own samples",
  ignore: !hasOfficial,
  async fn() {
    const { input } = JSON.parse((await Deno.readTextFile(OFFICIAL)).split("\n")[0]);
    const form = (
      text: string,
    ) => [...new Set(text.replace(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, "ID").split("\n"))];
    assert.deepEqual(form(promptOf(samplesOf("niah_multikey_3")[0])), form(input));
  },
});

Deno.test("A length that holds no prompt of the task is refused by name", () => {
  assert.throws(() => samplesOf("vt", { maxTokens: 300 }), { message: "vt does not fit into 300 tokens" });
});

const SQUAD = {
  version: "v2.0",
  data: [0, 1].map((article) => ({
    title: `T${article}`,
    paragraphs: [0, 1, 2].map((paragraph) => ({
      context: `Article ${article} says in paragraph ${paragraph} that its code is c${article}${paragraph}. ${
        "x ".repeat(40)
      }`,
      qas: [
        {
          question: `What is the code in article ${article}, paragraph ${paragraph}?`,
          answers: [{ text: `c${article}${paragraph}`, answer_start: 0 }],
          is_impossible: false,
        },
        { question: "Impossible?", answers: [], is_impossible: true },
      ],
    })),
  })),
};
const HOTPOT = ["Ann", "Bob", "Cid"].map((name, i) => ({
  _id: name,
  question: `Where was ${name} born?`,
  answer: `Place ${i}`,
  context: [[name, [`${name} was born in `, `Place ${i}.`]], [`Other ${i}`, [
    "Nothing.",
    "y ".repeat(i === 1 ? 500 : 5),
  ]]],
}));

Deno.test("qa_1 puts the paragraph that answers among others, those of its article first", async () => {
  const squad = await withFile(JSON.stringify(SQUAD), readSquad, "squad.json");
  assert.equal(squad.questions.length, 6);
  const lengths = [200, 300, 400, 600, 1000];
  const numbers = lengths.map((maxTokens) => {
    const samples = samplesOf("qa_1", { maxTokens, texts: { squad }, samples: 6 });
    for (const { question, context, answers: [code] } of samples) {
      assert.ok(question.includes(`article ${code[1]}, paragraph ${code[2]}?`));
      assert.ok(context.includes(`code is ${code}.`));
      const found = [...context.matchAll(/^Document (\d+):\nArticle (\d)/gm)];
      assert.deepEqual(found.map((match) => Number(match[1])), found.map((_, i) => i + 1));
      // Each article has three paragraphs.
      const sameArticle = found.filter(([, , article]) => article === code[1]).length;
      if (found.length <= 6) assert.equal(sameArticle, Math.min(found.length, 3));
    }
    return occurrences(samples[0].context, "Document ");
  });
  // Longer prompts hold more documents; the six are repeated where there is room.
  assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b));
  assert.equal(numbers[0], 1);
  assert.ok(numbers.includes(4) || numbers.includes(5));
  assert.ok(numbers.at(-1)! > 6);
});

Deno.test("qa_2 keeps all documents of a question and passes over those that are too long", async () => {
  const hotpot = await withFile(JSON.stringify(HOTPOT), readHotpot, "hotpot.json");
  const samples = samplesOf("qa_2", { maxTokens: 200, texts: { hotpot }, samples: 2 });
  assert.deepEqual(samples.map(({ answers }) => answers), [["Place 0"], ["Place 2"]]);
  assert.ok(samples[1].context.includes("Cid\nCid was born in Place 2."));
  assert.ok(samples[1].context.includes("Other 2\nNothing."));
  assert.throws(() => samplesOf("qa_2", { maxTokens: 200, texts: { hotpot }, samples: 3 }), {
    message: "qa_2 has 2 questions that fit into 200 tokens, not 3",
  });
});

Deno.test("Without their data sets qa_1 and qa_2 are no tasks", () => {
  assert.deepEqual(Object.keys(rulerTasks({ maxTokens: 1024, seed: 1, countTokens })), MADE_UP);
});

Deno.test("A damaged data set is refused by file and field", async () => {
  const damaged = structuredClone(HOTPOT) as { answer: unknown }[];
  damaged[1].answer = 3;
  await withFile(JSON.stringify(damaged), async (path) => {
    await assert.rejects(readHotpot(path), { message: /\/hotpot\.json: the field "1\.answer" is not as expected: / });
  }, "hotpot.json");
  await withFile(
    "{",
    (path) => assert.rejects(readSquad(path), { message: /\/squad\.json is not JSON$/ }),
    "squad.json",
  );
  await assert.rejects(readSquad("no-such.json"), { message: /^no-such\.json cannot be read: / });
});
