import assert from "node:assert/strict";
import type { Summary, TaskSummary } from "../../../bench/quality/aggregate.ts";
import { comparisonCharts } from "../../../bench/quality/comparison_charts.ts";

function summary(policy: string, budget: number | string | null, score: number): Summary {
  return {
    policy,
    budget,
    length: 1000,
    samples: 2,
    score,
    percentOfFull: null,
    differenceError: null,
    agreement: 1,
    divergence: 0,
    keptBytes: 1,
    compressible: 0,
    compressed: 0,
  };
}

/** The full cache has 80 %, snapkv 40 % at 10 % of the rows and 20 % at 64 rows, of which there are fewer. */
const AVERAGES = [summary("full", null, 80), summary("snapkv", "10%", 40), summary("snapkv", 64, 20)];
const TASKS = AVERAGES.map((one): TaskSummary => ({ ...one, task: "needle", rowsPerLayer: [70, 30] }));

Deno.test("Scores are drawn from the smallest budget to the largest, the full cache's as a level", () => {
  const { scores } = comparisonCharts(TASKS, AVERAGES, [], "a model");
  assert.ok(scores.indexOf(">64<") < scores.indexOf(">10%<"));
  // An axis of 0 to 80 % in five lines; 20 % is a quarter of the way up, 40 % a half, 80 % on top.
  const lines = [...scores.matchAll(/<path d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" fill="none" stroke="#2a6fbb"/g)];
  assert.equal(lines.length, 2, "the average and the task");
  const [x1, y1, x2, y2] = lines[0].slice(1).map(Number);
  const level = Number(/<path d="M[\d.]+ ([\d.]+)H[\d.]+" [^>]*stroke-dasharray/.exec(scores)![1]);
  assert.ok(x1 < x2);
  assert.ok(Math.abs((y1 - level) - 1.5 * (y2 - level)) < 0.5, `${y1} ${y2} ${level}`);
});

Deno.test("Rows are drawn for each layer, at the largest budget, once for both turns", () => {
  const turns = [...TASKS, ...TASKS.map((task) => ({ ...task, task: "needle, turn 2" }))];
  const { rows } = comparisonCharts(turns, AVERAGES, [], "a model");
  assert.match(rows, /at a budget of 10%</);
  assert.doesNotMatch(rows, /turn 2/);
  assert.deepEqual(
    [...rows.matchAll(/>(layer \d|70|30)</g)].map(([, word]) => word).filter((word) => /^l/.test(word)),
    [
      "layer 0",
      "layer 1",
    ],
  );
  assert.match(rows, /paint-order="stroke">70</);
});

Deno.test("The full cache alone has no figures", () => {
  assert.deepEqual(comparisonCharts(TASKS.slice(0, 1), AVERAGES.slice(0, 1), [], "a model"), {});
});

Deno.test("Scores by depth are drawn from the top of the document to its end, a colour for each", () => {
  const depths = [[100, 1], [0, 99]].map(([depth, score]) => ({
    policy: "full",
    budget: null,
    length: 1000,
    depth,
    score,
  }));
  const { depths: chart } = comparisonCharts(TASKS, AVERAGES, depths, "a model");
  assert.ok(chart.indexOf(">0 %<") < chart.indexOf(">100 %<"));
  assert.ok(chart.indexOf(">99<") < chart.indexOf(">1<"));
  const colours = [...chart.matchAll(/fill="#([0-9a-f]{2})([0-9a-f]{2})[0-9a-f]{2}"\/>\n<text[^>]*>(99|1)</g)];
  for (const [, red, green, score] of colours) assert.equal(red > green, score === "1", "red is bad, green is good");
  assert.equal(colours.length, 2);
});
