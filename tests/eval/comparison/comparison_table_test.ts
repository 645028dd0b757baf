import assert from "node:assert/strict";
import type { TaskSummary } from "../../../src/eval/comparison/aggregate.ts";
import { type Mode, MODES } from "../../../src/eval/answerers/modes.ts";
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
  const stated = (tasks: readonly TaskSummary[]) => undecidedStatement(tasks, "query-aware");
  assert.match(stated([...tasks, summary("snapkv", "needle", 40)])!, /^Nobody lost anything on qa: /);
  assert.match(stated(tasks)!, /^Nobody lost anything on needle, qa: /);
  assert.equal(stated([summary("full", "qa", 100), summary("h2o", "qa", 99)]), undefined);
  assert.equal(stated([summary("full", "qa", 100)]), undefined, "nobody could have lost");
});

Deno.test("undecidedStatement() gives the reason of the mode: where a first token or a prompt is safe, and else none", () => {
  const stated = (mode: Mode) => undecidedStatement([summary("full", "qa", 100), summary("h2o", "qa", 100)], mode)!;
  const none = "Nobody lost anything on qa: these columns tell no policies apart.";
  const reasons: Readonly<Record<Mode, RegExp>> = {
    "query-aware": /^ The first token of an answer is drawn before anything is dropped/,
    // The question, or all of the prompt, comes to a cache that has lost rows.
    "query-agnostic": /^$/,
    "two-turn": /^ The first token of a first answer /,
    "decoding": /^$/,
    "long-answer": /^ The prompt keeps all of its rows: .* rows that were generated\.$/,
  };
  for (const mode of MODES) {
    const sentence = stated(mode);
    assert.ok(sentence.startsWith(none), sentence);
    assert.match(sentence.slice(none.length), reasons[mode]);
  }
});

Deno.test("Averages show how many answers are the full cache's, unless nobody knows", () => {
  const [known] = averageTables([summary("full", "qa", 100), summary("h2o", "qa", 50)]);
  assert.equal(known.rows[1][known.header.indexOf("same answer")], "50.0");
  const unknown = [summary("full", "qa", 100, { sameAnswers: null }), summary("h2o", "qa", 50, { sameAnswers: null })];
  assert.ok(!averageTables(unknown)[0].header.includes("same answer"));
  assert.doesNotMatch(comparisonTables(unknown), /same answer/);
});
