import assert from "node:assert/strict";
import { type AnswerFile, openAnswers } from "../../../src/eval/answerers/answers.ts";
import { compare } from "../../../src/eval/comparison/compare.ts";
import { type Contender, contendersOf } from "../../../src/eval/comparison/contender.ts";
import { engineAnswerer } from "../../../src/eval/answerers/engine_answers.ts";
import type { Question } from "../../../src/eval/suites/question.ts";
import { longBenchQuestions, longBenchTasks } from "../../../src/eval/suites/longbench/questions.ts";
import { suiteQuestions, suiteTasks } from "../../../src/eval/suites/suites.ts";
import type { KvCacheChoice } from "../../../src/contract/generation.ts";
import { FakeEngine, likelyLogits, type Script } from "../../support/fake_engine.ts";
import { byteTokens, fakeChatTemplate, fakeText, TOKEN } from "../../support/fake_text.ts";
import { withDirectory } from "../../support/files.ts";

const ORIGIN = { suite: "tasks", mode: "query-aware", model: "fake.gguf", seed: 0 };
const RIVALS = contendersOf(["snapkv"], [4, "50%"]);

function questions(count: number): Question[] {
  return Array.from({ length: count }, (_, index) => ({
    task: "echo",
    length: 16,
    index,
    prompt: `Question ${index}`,
    answerStart: `Question ${index}`.length,
    maxTokens: 8,
    score: (answer) => answer === "yes" ? 1 : 0,
  }));
}

/** The full cache says yes, all else no; fed anything, each holds its own word for likely. */
const truthful = ({ kvCache }: { kvCache: KvCacheChoice }): Script => {
  const tokens = [...byteTokens(kvCache.policy === "full" ? "yes" : "no"), TOKEN.end];
  return { tokens, resumed: ({ continuation }) => ({ tokens: [], logits: likelyLogits(tokens, continuation) }) };
};

async function run(engine: FakeEngine, file: AnswerFile, count: number, contenders: readonly Contender[] = RIVALS) {
  const progress: string[] = [];
  const answerer = engineAnswerer({ engine, text: fakeText }, { mode: "query-aware", parseChoice: (choice) => choice });
  const answers = await compare(answerer, {
    questions: questions(count),
    contenders,
    file,
    onStart: (questions, answers) => Promise.resolve(void progress.push(`${questions.length} for ${answers}`)),
    onProgress: ({ questions, allQuestions, answers, allAnswers }) =>
      void progress.push(`${questions}/${allQuestions} ${answers}/${allAnswers}`),
  });
  return { answers, progress };
}

Deno.test("The full cache comes first and once, whether it is named or not", () => {
  const expected = [
    { policy: "full", budget: null },
    { policy: "snapkv", budget: 64 },
    { policy: "h2o", budget: 64 },
    { policy: "snapkv", budget: "5%" },
    { policy: "h2o", budget: "5%" },
  ];
  assert.deepEqual(contendersOf(["snapkv", "h2o"], [64, "5%"]), expected);
  assert.deepEqual(contendersOf(["snapkv", "full", "h2o"], [64, "5%"]), expected);
});

Deno.test("Every question is asked with every contender and the same prompt, and its answer scored", async () => {
  await withDirectory({}, async (folder) => {
    const engine = new FakeEngine({ script: truthful });
    const { answers, progress } = await run(engine, await openAnswers(`${folder}/a.jsonl`, ORIGIN), 2);
    const [start, ...later] = progress;
    assert.equal(start, "2 for 6");
    assert.deepEqual(later.map((line) => line.split(" ")[1]), ["1/6", "2/6", "3/6", "4/6", "5/6", "6/6"]);
    assert.equal(later.at(-1), "2/2 6/6");
    assert.deepEqual(
      answers.map(({ policy, budget, index, score, answer }) => [policy, budget, index, score, answer]),
      [
        ["full", null, 0, 1, "yes"],
        ["full", null, 1, 1, "yes"],
        ["snapkv", 4, 0, 0, "no"],
        ["snapkv", 4, 1, 0, "no"],
        ["snapkv", "50%", 0, 0, "no"],
        ["snapkv", "50%", 1, 0, "no"],
      ],
    );
    const [first] = answers;
    assert.deepEqual(first.tokens, [...byteTokens("yes"), TOKEN.end]);
    assert.deepEqual([first.agreement, first.divergence], [1, 0]);
    // Fed "yes" behind its first letter, the other holds "o", the end and nothing else for likely: wrong three times. In the
    // last place its logits are all equal, in the others the mass of three quarters is on another token.
    const { agreement, divergence } = answers[2];
    const rest = 0.25 / 299;
    const other = 0.75 * Math.log(0.75 / rest) + rest * Math.log(rest / 0.75);
    const flat = 0.75 * Math.log(0.75 * 300) + 0.25 * Math.log(rest * 300);
    assert.equal(agreement, 0);
    assert.ok(Math.abs(divergence! - (2 * other + flat) / 3) < 1e-5, `${divergence}`);
    // The begin token and ten bytes; the fake engine keeps a half and a quarter.
    assert.deepEqual([first.promptTokens, first.rowsPerLayer, first.bytes, first.fullBytes], [11, [6, 3], 72, 176]);
    assert.equal(new Set(engine.requests.slice(0, 3).map(({ prompt }) => String(prompt))).size, 1);
  });
});

Deno.test("A second run asks nothing, and more samples, policies or budgets only what is new", async () => {
  await withDirectory({}, async (folder) => {
    const path = `${folder}/a.jsonl`;
    const first = await run(new FakeEngine({ script: truthful }), await openAnswers(path, ORIGIN), 2);

    const idle = new FakeEngine({ script: truthful });
    const second = await run(idle, await openAnswers(path, ORIGIN), 2);
    assert.equal(idle.requests.length, 0);
    assert.deepEqual(second.answers, first.answers);

    const wider = new FakeEngine({ script: truthful });
    await run(wider, await openAnswers(path, ORIGIN), 2, contendersOf(["snapkv", "h2o"], [4]));
    // The full cache is asked once more, for its logits.
    assert.deepEqual(wider.requests.map(({ kvCache }) => kvCache.policy), ["full", "h2o", "full", "h2o"]);

    const longer = new FakeEngine({ script: truthful });
    const { answers } = await run(longer, await openAnswers(path, ORIGIN), 3);
    assert.equal(longer.requests.length, RIVALS.length);
    assert.equal(answers.length, 3 * RIVALS.length, "the answers of h2o are not part of this comparison");
  });
});

Deno.test("What was answered before a failure is kept, and a half-written line is asked again", async () => {
  await withDirectory({}, async (folder) => {
    const path = `${folder}/a.jsonl`;
    // Two questions are under way at once; the third fails.
    const failing = new FakeEngine({
      script: (request, index) => index < 2 * RIVALS.length ? truthful(request) : { tokens: [], failure: "GPU lost" },
    });
    await assert.rejects(run(failing, await openAnswers(path, ORIGIN), 3), /The generation failed: GPU lost/);
    await failing.idle();
    const text = await Deno.readTextFile(path);
    assert.equal(text.trimEnd().split("\n").length, 1 + 2 * RIVALS.length);

    await Deno.writeTextFile(path, text.slice(0, -10));
    const next = new FakeEngine({ script: truthful });
    const { answers } = await run(next, await openAnswers(path, ORIGIN), 3);
    assert.equal(next.requests.length, RIVALS.length + 2);
    assert.equal(answers.length, 3 * RIVALS.length);
    assert.equal((await openAnswers(path, ORIGIN)).answers.length, 3 * RIVALS.length);
  });
});

Deno.test("Answers of another model, suite or seed are refused, and a malformed line is named", async () => {
  await withDirectory({}, async (folder) => {
    const path = `${folder}/a.jsonl`;
    await openAnswers(path, ORIGIN);
    await assert.rejects(
      openAnswers(path, { ...ORIGIN, seed: 1 }),
      { message: `${path} holds answers of seed 0, not 1: name another file, or remove it` },
    );
    await Deno.writeTextFile(path, '{"task": "echo"}\n', { append: true });
    await assert.rejects(openAnswers(path, ORIGIN), /a\.jsonl line 2 is no answer: length: /);
  });
});

for (const suite of ["tasks", "needle", "ruler"] as const) {
  Deno.test(`${suite}: questions of every task, the same for the same seed, and the first of many are those of few`, () => {
    const request = {
      tasks: suiteTasks(suite).slice(0, 3),
      lengths: [6000],
      samples: 2,
      seed: 3,
      tokenizer: fakeText.tokenizer,
      chatTemplate: fakeChatTemplate,
    };
    const plain = (list: readonly Question[]) => list.map(({ prompt, task, index }) => ({ prompt, task, index }));
    const two = suiteQuestions(suite, request);
    assert.deepEqual(
      two.map(({ task, index }) => `${task} ${index}`),
      [0, 1].flatMap((index) => request.tasks.map((task) => `${task} ${index}`)),
    );
    assert.deepEqual(plain(suiteQuestions(suite, { ...request, samples: 1 })), plain(two).slice(0, two.length / 2));
    assert.notEqual(suiteQuestions(suite, { ...request, seed: 4 })[0].prompt, two[0].prompt);
    for (const { prompt, score } of two) {
      assert.match(prompt, /^user: /);
      // Behind what the length is of come the template and the answer's beginning.
      const tokens = fakeText.tokenizer.encode(prompt).length;
      assert.ok(tokens > 5000 && tokens <= 6000 + 64, `${tokens} tokens`);
      assert.ok(score("I do not know") < 0.5);
    }
  });
}

Deno.test("longbench: the first records of each task, cut to each length, few-shot tasks without the chat template", async () => {
  const record = (input: string, answers: string[], all_classes: string[] | null) =>
    JSON.stringify({ input, context: "word ".repeat(1000), answers, length: 1000, all_classes }) + "\n";
  const qasper = record("Who?", ["Ann"], null);
  const files = {
    "qasper.jsonl": qasper + qasper + qasper,
    "trec.jsonl": record("Type?", ["Food"], ["Food", "Number"]),
  };
  await withDirectory({ ...files, "SOURCES.md": "" }, async (folder) => {
    const tasks = await longBenchTasks(folder);
    assert.deepEqual(tasks, ["qasper", "trec"]);
    const questions = await longBenchQuestions(folder, {
      tasks,
      lengths: [1500, 3000],
      samples: 2,
      seed: 0,
      tokenizer: fakeText.tokenizer,
      chatTemplate: fakeChatTemplate,
    });
    assert.deepEqual(questions.map(({ task, length, index }) => `${task} ${length} ${index}`), [
      "qasper 1500 0",
      "qasper 3000 0",
      "trec 1500 0",
      "trec 3000 0",
      "qasper 1500 1",
      "qasper 3000 1",
    ]);
    for (const { prompt, length, maxTokens } of questions) {
      const tokens = fakeText.tokenizer.encode(prompt).length + maxTokens;
      assert.ok(tokens <= length && tokens > length - 10, `${tokens} of ${length}`);
    }
    const [first, , trec] = questions;
    assert.match(first.prompt, /^user: You are given a scientific article [^]*Question: Who\?\n\nAnswer:\nassistant:$/);
    assert.match(trec.prompt, /^Please determine the type [^]*\nType\?$/);
    assert.equal(first.score("It is Ann"), 0.5);
    assert.equal(trec.score("Food\nNumber"), 1);
  });
});

Deno.test("Needles lie at every depth in turn", () => {
  const questions = suiteQuestions("needle", {
    tasks: ["needle"],
    lengths: [2000],
    samples: 13,
    seed: 0,
    tokenizer: fakeText.tokenizer,
    chatTemplate: fakeChatTemplate,
  });
  assert.deepEqual(questions.map(({ depth }) => depth), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 0, 10]);
  assert.equal(new Set(questions.map(({ prompt }) => prompt)).size, 13);
  assert.equal(questions[0].score("You eat a sandwich and sit in Dolores Park on a sunny day."), 1);
});
