import assert from "node:assert/strict";
import type { TaskSummary } from "../../../src/eval/comparison/aggregate.ts";
import { averageTables, comparisonTables, undecidedStatement } from "../../../src/eval/comparison/comparison_table.ts";

function summary(policy: string, task: string, percentOfFull: number, more: Partial<TaskSummary> = {}): TaskSummary {
  return {
    policy,
    budget: policy === "full" ? null : 64,
    task,
    length: 1024,
    samples: 2,
    score: percentOfFull,
    percentOfFull,
    differenceError: null,
    sameAnswers: 0.5,
    agreement: null,
    divergence: null,
    keptBytes: null,
    rowsPerLayer: [],
    compressible: 2,
    compressed: 2,
    ...more,
  };
}

Deno.test("undecidedStatement() names the tasks on which nobody lost anything, and no other", () => {
  const tasks = ["needle", "qa"].flatMap((task) => [summary("full", task, 100), summary("h2o", task, 100)]);
  assert.match(undecidedStatement([...tasks, summary("snapkv", "needle", 40)])!, /^Nobody lost anything on qa: /);
  assert.match(undecidedStatement(tasks)!, /^Nobody lost anything on needle, qa: /);
  assert.equal(undecidedStatement([summary("full", "qa", 100), summary("h2o", "qa", 99)]), undefined);
  assert.equal(undecidedStatement([summary("full", "qa", 100)]), undefined, "nobody could have lost");
});

Deno.test("Averages show how many answers are the full cache's, unless nobody knows", () => {
  const [known] = averageTables([summary("full", "qa", 100), summary("h2o", "qa", 50)]);
  assert.equal(known.rows[1][known.header.indexOf("same answer")], "50.0");
  const unknown = [summary("full", "qa", 100, { sameAnswers: null }), summary("h2o", "qa", 50, { sameAnswers: null })];
  assert.ok(!averageTables(unknown)[0].header.includes("same answer"));
  assert.doesNotMatch(comparisonTables(unknown), /same answer/);
});
