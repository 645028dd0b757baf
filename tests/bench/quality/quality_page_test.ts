import assert from "node:assert/strict";
import type { Summary } from "../../../src/eval/comparison/aggregate.ts";
import { COMPARISONS, CONTENDERS } from "../../../bench/quality/plan.ts";
import { withResults } from "../../../bench/quality/quality_page.ts";
import { reportOf } from "../../../src/eval/report.ts";
import { findPolicy } from "../../support/policies.ts";

const PAGE = new URL("../../../docs/quality.md", import.meta.url);

function summary(policy: string, budget: string | null, percentOfFull: number): Summary {
  const measured = {
    length: 2048,
    samples: 50,
    score: 0.9 * percentOfFull,
    percentOfFull,
    differenceError: 1.5,
    sameAnswers: null,
  };
  const compressed = budget === null ? 0 : 50;
  return {
    policy,
    budget,
    ...measured,
    agreement: 0.5,
    divergence: 0.25,
    keptBytes: 0.1,
    compressible: compressed,
    compressed,
  };
}

const AVERAGES = [summary("full", null, 100), summary("snapkv", "1.7%", 81), summary("snapkv", "6.9%", 97)];

function measured() {
  const tasks = AVERAGES.map((average) => ({ ...average, task: "needle", rowsPerLayer: [3, 4] }));
  const results = { suite: "tasks", mode: "query-aware" as const, model: "ebb-mini", seed: 0, depths: [] };
  const report = reportOf("quality-tasks", false, { ...results, averages: AVERAGES, tasks });
  return [{ planned: COMPARISONS[0], report, figures: ["scores"] }];
}

Deno.test("Results replace what is between the marks, and nothing else", async () => {
  const page = await Deno.readTextFile(PAGE);
  const filled = withResults(page, measured());
  const [before, after] = page.split(/<!-- made by [^]*end -->/);
  assert.ok(filled.startsWith(before) && filled.endsWith(after));
  assert.match(filled, /\| policy \| 1\.7% \| 6\.9% \|\n\| --- \| ---: \| ---: \|\n\| snapkv \| 81\.0 \| 97\.0 \|/);
  // One task is its own average: no table of tasks.
  assert.match(filled, /Averages, 2048 tokens:/);
  assert.doesNotMatch(filled, /Score by task/);
  assert.match(filled, /!\[Scores against the budget\]\(figures\/quality-tasks-scores\.svg\)/);
  assert.match(filled, /all 100 prompts longer than their budget lost rows/);
  assert.equal(withResults(filled, measured()), filled);
  assert.throws(() => withResults("# Quality", measured()), /must hold the lines <!-- made by/);
});

Deno.test("The plan names policies that there are, and each comparison once", () => {
  for (const { name, mode, policies = CONTENDERS.policies } of COMPARISONS) {
    for (const policy of policies) {
      assert.ok(mode === "decoding" ? findPolicy(policy)?.ranksAgain : findPolicy(policy), `${name}: ${policy}`);
    }
  }
  assert.equal(new Set(COMPARISONS.map(({ name }) => name)).size, COMPARISONS.length);
});
