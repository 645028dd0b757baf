import assert from "node:assert/strict";
import { agreement, averageTasks, summariseDepths, summariseTasks } from "../../../bench/quality/aggregate.ts";
import type { Answer } from "../../../bench/quality/answers.ts";
import { comparisonTables } from "../../../bench/quality/comparison_table.ts";

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
  answer("snapkv", "a", 1, 0, { tokens: [1, 9, 3, 4], rowsPerLayer: [20, 20], bytes: 320 }),
  answer("snapkv", "b", 0, 0),
  answer("snapkv", "b", 1, 0, { tokens: [1, 2, 3] }),
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
    // All four tokens, and the first of four.
    agreement: (1 + 1 / 4) / 2,
    keptBytes: (160 / 800 + 320 / 800) / 2,
    rowsPerLayer: [25, 15],
    compressible: 2,
    compressed: 2,
  });
  assert.deepEqual([snapB.score, snapB.percentOfFull, snapB.agreement], [0, 0, (1 + 3 / 4) / 2]);
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

Deno.test("Agreement ends with the first different token, even if later ones are the same", () => {
  assert.equal(agreement([1, 2, 3, 4], [1, 2, 3, 4]), 1);
  assert.equal(agreement([1, 2, 9, 4], [1, 2, 3, 4]), 0.5);
  assert.equal(agreement([9], [1, 2, 3, 4]), 0);
  assert.equal(agreement([1], [1, 2, 3, 4]), 0.25);
  assert.equal(agreement([1, 2, 3, 4, 5], [1, 2, 3, 4]), 1);
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

Deno.test("An answer without the full cache's to the same question is refused", () => {
  assert.throws(
    () => summariseTasks([answer("full", "a", 1, 1), answer("snapkv", "a", 0, 1)]),
    /^Error: The full cache's answer to question 0 of a at 128 tokens is missing$/,
  );
});

Deno.test("The table has a row for each policy and a column for each task", () => {
  const tasks = summariseTasks(ANSWERS);
  const lines = comparisonTables(tasks, averageTasks(tasks)).split("\n");
  assert.equal(lines[0], "128 tokens");
  const cells = (line: string) => line.split(/ {2,}/);
  assert.deepEqual(cells(lines[2]).slice(0, 6), ["policy", "budget", "a", "b", "average", "% of full"]);
  assert.deepEqual(lines[4].trim().split(/\s+/).slice(0, 6), ["full", "all", "100.0", "50.0", "75.0", "100.0"]);
  assert.deepEqual(lines[5].trim().split(/\s+/).slice(0, 6), ["snapkv", "20", "50.0", "0.0", "25.0", "33.3"]);
  assert.match(lines[5], /4\/4$/);
  assert.equal(lines.length, 6);
});
