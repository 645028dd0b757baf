import assert from "node:assert/strict";
import { averageTasks, summariseDepths, summariseTasks } from "../../../src/eval/comparison/aggregate.ts";
import type { Answer } from "../../../src/eval/answerers/answers.ts";
import { secondTurn } from "../../../src/eval/comparison/compare.ts";
import { comparisonTables, compressionStatement } from "../../../src/eval/comparison/comparison_table.ts";

/** An answer of a model of two layers to a prompt of 100 tokens. */
function answer(policy: string, task: string, index: number, score: number, more: Partial<Answer> = {}): Answer {
  const isFull = policy === "full";
  return {
    task,
    length: 128,
    promptTokens: 100,
    index,
    depth: null,
    policy,
    budget: isFull ? null : 20,
    tokens: [1, 2, 3, 4],
    answer: "",
    score,
    agreement: 1,
    divergence: 0,
    rowsPerLayer: isFull ? [100, 100] : [30, 10],
    bytes: isFull ? 800 : 160,
    fullBytes: 800,
    ...more,
  };
}

/** The full cache is right on a and on half of b; snapkv is right on half of a and on nothing of b. */
const ANSWERS = [
  answer("full", "a", 0, 1),
  answer("full", "a", 1, 1),
  answer("full", "b", 0, 0),
  answer("full", "b", 1, 1),
  answer("snapkv", "a", 0, 1),
  answer("snapkv", "a", 1, 0, { agreement: 0.25, divergence: 0.5, rowsPerLayer: [20, 20], bytes: 320 }),
  answer("snapkv", "b", 0, 0),
  answer("snapkv", "b", 1, 0, { agreement: null, divergence: null }),
];

Deno.test("A task's summary holds the means over its answers", () => {
  const [fullA, fullB, snapA, snapB] = summariseTasks(ANSWERS);
  assert.deepEqual([fullA.policy, fullA.task, fullA.budget, fullA.score], ["full", "a", null, 100]);
  assert.equal(fullB.score, 50);
  // Differences of 0 and -100 points: deviation 100 / sqrt(2), over sqrt(2) for two samples.
  assert.ok(Math.abs(snapA.differenceError! - 50) < 1e-9);
  assert.deepEqual({ ...snapA, differenceError: 50 }, {
    policy: "snapkv",
    budget: 20,
    length: 128,
    task: "a",
    samples: 2,
    score: 50,
    percentOfFull: 50,
    differenceError: 50,
    sameAnswers: 1,
    agreement: (1 + 1 / 4) / 2,
    // Both are 3/8 from their mean: deviation 3/8 sqrt(2), over sqrt(2) for two samples.
    agreementError: 3 / 8,
    divergence: 0.25,
    keptBytes: (160 / 800 + 320 / 800) / 2,
    rowsPerLayer: [25, 15],
    compressible: 2,
    compressed: 2,
  });
  // Where nothing was compared, the answer has no say.
  assert.deepEqual([snapB.score, snapB.percentOfFull, snapB.agreement, snapB.divergence], [0, 0, 1, 0]);
});

Deno.test("Whole answers are compared with the full cache's, however their words are set apart", () => {
  const [, snapkv] = summariseTasks([
    answer("full", "a", 0, 1, { answer: " 31088." }),
    answer("full", "a", 1, 1, { answer: "pears." }),
    answer("snapkv", "a", 0, 1, { answer: "31088. " }),
    // Contains the answer, and so has its score.
    answer("snapkv", "a", 1, 1, { answer: " pears of The The The" }),
  ]);
  assert.deepEqual([snapkv.percentOfFull, snapkv.sameAnswers], [100, 0.5]);
});

Deno.test("In the average every task counts the same, and its share is of the full cache's average", () => {
  const unequal = [...ANSWERS, answer("full", "b", 2, 1), answer("snapkv", "b", 2, 1)];
  const [full, snapkv] = averageTasks(summariseTasks(unequal));
  // Task a: 100 and 50; task b: two and one of three right.
  const close = (value: number | null, expected: number) => assert.ok(Math.abs(value! - expected) < 1e-9, `${value}`);
  close(full.score, (100 + 200 / 3) / 2);
  close(snapkv.score, (50 + 100 / 3) / 2);
  close(snapkv.percentOfFull, 50);
  assert.deepEqual([full.samples, snapkv.samples], [5, 5]);
});

Deno.test("The error of an average comes from those of its tasks, and a single sample has none", () => {
  const [, snapkv] = averageTasks(summariseTasks(ANSWERS));
  // On both tasks one question of two is lost: 50 points each.
  assert.ok(Math.abs(snapkv.differenceError! - Math.sqrt(50 ** 2 + 50 ** 2) / 2) < 1e-9);
  const [, single] = averageTasks(summariseTasks([answer("full", "a", 0, 1), answer("snapkv", "a", 0, 1)]));
  assert.equal(single.differenceError, null);
});

Deno.test("The error of an agreement's average comes from those of its tasks, if all of them have one", () => {
  const agreeing = (task: string, agreements: readonly number[]) =>
    agreements.flatMap((agreement, index) => [
      answer("full", task, index, 1),
      answer("snapkv", task, index, 1, { agreement }),
    ]);
  const errorOf = (...tasks: readonly number[][]) =>
    averageTasks(summariseTasks(tasks.flatMap((agreements, i) => agreeing(String(i), agreements))))[1].agreementError;
  // 0.3 and 0.4 from the means.
  assert.ok(Math.abs(errorOf([0.2, 0.8], [0.1, 0.9])! - Math.sqrt(0.3 ** 2 + 0.4 ** 2) / 2) < 1e-9);
  assert.equal(errorOf([0.2, 0.8], [0.1]), null);
});

Deno.test("Only prompts longer than the budget count as compressible, and only lost rows as compression", () => {
  const answers = [
    answer("full", "a", 0, 1),
    answer("full", "a", 1, 1),
    answer("full", "a", 2, 1),
    answer("snapkv", "a", 0, 1, { budget: "50%" }),
    answer("snapkv", "a", 1, 1, { budget: "50%", rowsPerLayer: [100, 100] }),
    answer("snapkv", "a", 2, 1, { budget: "50%", promptTokens: 1, rowsPerLayer: [1, 1] }),
  ];
  const [full, snapkv] = summariseTasks(answers);
  assert.deepEqual([full.compressible, full.compressed], [0, 0]);
  assert.deepEqual([snapkv.compressible, snapkv.compressed], [2, 1]);
});

Deno.test("Where the full cache is always wrong there is no share of it", () => {
  const [, snapkv] = summariseTasks([answer("full", "a", 0, 0), answer("snapkv", "a", 0, 1)]);
  assert.equal(snapkv.percentOfFull, null);
});

Deno.test("Without the full cache, as with a server that knows none, there are scores but nothing to measure them by", () => {
  const unknown = { budget: null, agreement: null, divergence: null, rowsPerLayer: [], bytes: null, fullBytes: null };
  const [task] = summariseTasks([0, 1].map((score) => answer("the server", "a", score, score, unknown)));
  const { score, percentOfFull, differenceError, agreement, divergence, keptBytes, compressible } = task;
  assert.equal(score, 50);
  assert.deepEqual([percentOfFull, differenceError, agreement, divergence, keptBytes], Array(5).fill(null));
  assert.equal(compressible, 0);
  const [average] = averageTasks([task]);
  assert.deepEqual([average.score, average.percentOfFull, average.keptBytes], [50, null, null]);
  assert.match(compressionStatement([task], "query-aware"), /^Nothing was compressed/);
});

Deno.test("It is said in words whether compression took place on every sample", () => {
  assert.equal(
    compressionStatement(summariseTasks(ANSWERS), "query-aware"),
    "Compression took place on every sample: all 4 prompts longer than their budget lost rows.",
  );
  const idle = ANSWERS.with(4, answer("snapkv", "a", 0, 1, { rowsPerLayer: [100, 100] }));
  assert.equal(
    compressionStatement(summariseTasks(idle), "query-aware"),
    "Compression did NOT take place on every sample: only 3 of 4 prompts longer than their budget lost rows. " +
      "Those that lost none: snapkv at 20 on a of 128 tokens (1 of 2).",
  );
  // There the prompt keeps its rows.
  assert.match(
    compressionStatement(summariseTasks(ANSWERS), "long-answer"),
    /: all 4 answers longer than their budget /,
  );
  assert.match(compressionStatement(summariseTasks(idle), "long-answer"), /: only 3 of 4 answers longer than /);
});

Deno.test("Scores by depth are means over the answers that have one", () => {
  const answers = [
    answer("full", "a", 0, 1, { depth: 50 }),
    answer("full", "a", 1, 0, { depth: 50 }),
    answer("full", "a", 2, 1, { depth: 100 }),
    answer("full", "b", 0, 1),
  ];
  const common = { policy: "full", budget: null, length: 128 };
  assert.deepEqual(summariseDepths(answers), [
    { ...common, depth: 50, score: 50 },
    { ...common, depth: 100, score: 100 },
  ]);
});

Deno.test("Scores by depth are those of first turns: the second question's fact lies somewhere else", () => {
  const answers = [
    answer("full", "a", 0, 1, { depth: 50 }),
    answer("full", secondTurn("a"), 0, 0, { depth: 50 }),
  ];
  assert.deepEqual(summariseDepths(answers), [{ policy: "full", budget: null, length: 128, depth: 50, score: 100 }]);
});

Deno.test("An answer without the full cache's to the same question is refused", () => {
  assert.throws(
    () => summariseTasks([answer("full", "a", 1, 1), answer("snapkv", "a", 0, 1)]),
    /^Error: The full cache's answer to question 0 of a at 128 tokens is missing$/,
  );
});

Deno.test("The table has a row for each policy and a column for each task", () => {
  const tasks = summariseTasks(ANSWERS);
  const lines = comparisonTables(tasks).split("\n");
  assert.equal(lines[0], "128 tokens");
  const cells = (line: string) => line.split(/ {2,}/);
  assert.deepEqual(cells(lines[2]).slice(0, 6), ["policy", "budget", "a", "b", "average", "% of full"]);
  assert.deepEqual(lines[4].trim().split(/\s+/).slice(0, 6), ["full", "all", "100.0", "50.0", "75.0", "100.0"]);
  assert.deepEqual(lines[5].trim().split(/\s+/).slice(0, 6), ["snapkv", "20", "50.0", "0.0", "25.0", "33.3"]);
  assert.match(lines[5], /4\/4$/);
  assert.equal(lines.length, 6);
});

Deno.test("Each turn has a table and an average of its own", () => {
  const second = ANSWERS.map((answer) => ({ ...answer, task: secondTurn(answer.task), score: 1 - answer.score }));
  const tasks = summariseTasks([...ANSWERS, ...second]);
  const lines = comparisonTables(tasks).split("\n");
  assert.deepEqual([lines[0], lines[7]], ["128 tokens, first turn", "128 tokens, second turn"]);
  const row = (line: string) => line.trim().split(/\s+/).slice(0, 5);
  assert.deepEqual(row(lines[9]), ["policy", "budget", "a", "b", "average"]);
  assert.deepEqual(row(lines[5]), ["snapkv", "20", "50.0", "0.0", "25.0"]);
  assert.deepEqual(row(lines[12]), ["snapkv", "20", "50.0", "100.0", "75.0"]);
});
