import assert from "node:assert/strict";
import type { DepthSummary, Summary, TaskSummary } from "../../../src/eval/comparison/aggregate.ts";
import { secondTurn } from "../../../src/eval/comparison/compare.ts";
import { comparisonCharts as chartsOf } from "../../../src/eval/comparison/comparison_charts.ts";
import { policies } from "../../support/policies.ts";

function summary(policy: string, budget: number | string | null, score: number): Summary {
  return {
    policy,
    budget,
    length: 1000,
    samples: 2,
    score,
    percentOfFull: null,
    differenceError: null,
    sameAnswers: null,
    agreement: 1,
    divergence: 0,
    keptBytes: 1,
    compressible: 0,
    compressed: 0,
  };
}

/** The full cache has 80 %, snapkv 40 % at 10 % of the rows and 20 % at 64 rows, of which there are fewer. */
const SUMMARIES = [summary("full", null, 80), summary("snapkv", "10%", 40), summary("snapkv", 64, 20)];
const TASKS = SUMMARIES.map((one): TaskSummary => ({ ...one, task: "needle", rowsPerLayer: [70, 30] }));

function comparisonCharts(tasks: readonly TaskSummary[], depths: readonly DepthSummary[] = []) {
  return chartsOf({ tasks, depths, model: "a model", mode: "query-aware" });
}

Deno.test("Scores are drawn from the smallest budget to the largest, the full cache's as a level", () => {
  const { scores } = comparisonCharts(TASKS);
  assert.ok(scores.indexOf(">64<") < scores.indexOf(">10%<"));
  const lines = [...scores.matchAll(/<path d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" fill="none" stroke="#2a6fbb"/g)];
  assert.equal(lines.length, 1, "an average of one task is not drawn");
  const [x1, y1, x2, y2] = lines[0].slice(1).map(Number);
  const level = Number(/<path d="M[\d.]+ ([\d.]+)H[\d.]+" [^>]*stroke-dasharray/.exec(scores)![1]);
  assert.ok(x1 < x2);
  assert.ok(Math.abs((y1 - level) - 1.5 * (y2 - level)) < 0.5, `${y1} ${y2} ${level}`);
});

Deno.test("The average of several tasks is drawn beside them", () => {
  const others = TASKS.map((task) => ({ ...task, task: "code" }));
  const { scores } = comparisonCharts([...TASKS, ...others]);
  const panels = [...scores.matchAll(/>(\w+), 1000 tokens</g)].map(([, name]) => name);
  assert.deepEqual(panels, ["average", "needle", "code"]);
});

Deno.test("Every policy has one colour in all figures, and no two have the same", () => {
  const names = policies.map(({ name }) => name).filter((name) => name !== "full");
  const coloursOf = (names: readonly string[]) => {
    const { scores } = comparisonCharts(
      ["full", ...names].map((name): TaskSummary => ({
        ...TASKS[1],
        policy: name,
        budget: name === "full" ? null : "10%",
      })),
    );
    return new Map(
      [...scores.matchAll(/fill="(#\w+)"\/>\n<text[^>]*>([\w+]+)</g)].map(([, colour, name]) => [name, colour]),
    );
  };
  const all = coloursOf(names);
  assert.equal(new Set(names.map((name) => all.get(name))).size, names.length);
  for (const name of names) assert.equal(coloursOf([name, "h2o+dynamickv"]).get(name), all.get(name), name);
});

Deno.test("Lines of the same values lie beside each other, in the order of the legend", () => {
  const twins = TASKS.slice(1).map((task) => ({ ...task, policy: "lava" }));
  const { scores } = comparisonCharts([...TASKS, ...twins]);
  const points = [...scores.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
  const [snapkv, , lava] = points;
  assert.equal(points.length, 4);
  assert.equal(snapkv[1], lava[1]);
  assert.ok(snapkv[0] + 5 < lava[0], `${snapkv} ${lava}`);
});

Deno.test("Each turn has an average and panels of its own", () => {
  const both = [...TASKS, ...TASKS.map((task) => ({ ...task, task: "code" }))];
  const { scores } = comparisonCharts([
    ...both,
    ...both.map((task) => ({ ...task, task: secondTurn(task.task), score: task.score / 2 })),
  ]);
  const panels = [...scores.matchAll(/>([^<>]+), 1000 tokens</g)].map(([, name]) => name);
  assert.deepEqual(panels, [
    "average of the first turn",
    "needle",
    "code",
    "average of the second turn",
    "needle, turn 2",
    "code, turn 2",
  ]);
});

Deno.test("Rows are drawn for each layer, at the largest budget, once for both turns", () => {
  const turns = [...TASKS, ...TASKS.map((task) => ({ ...task, task: secondTurn(task.task) }))];
  const { rows } = comparisonCharts(turns);
  assert.match(rows, /at a budget of 10%, /);
  assert.doesNotMatch(rows, /turn 2/);
  // The axis ends at 80: 70 and 30 rows are seven and three eighths of the way up.
  const [bottom, ...higher] = [...rows.matchAll(/<path d="M[\d.]+ ([\d.]+)H/g)].map(([, y]) => Number(y));
  const points = [...rows.matchAll(/<circle cx="[\d.]+" cy="([\d.]+)"/g)].map(([, y]) => Number(y));
  const height = bottom - higher.at(-1)!;
  assert.deepEqual(points.map((y) => Math.round(80 * (bottom - y) / height)), [70, 30]);
});

Deno.test("The full cache alone has no figures", () => {
  assert.deepEqual(comparisonCharts(TASKS.slice(0, 1)), {});
});

Deno.test("Scores by depth are drawn from the top of the document to its end, the policies one below the other", () => {
  const summary = (policy: string, budget: string | null, depth: number, score: number) => //
  ({ policy, budget, length: 1000, depth, score });
  const depths = [
    summary("full", null, 100, 1),
    summary("full", null, 0, 99),
    summary("snapkv", "10%", 0, 97),
    summary("snapkv", "10%", 100, 3),
  ];
  const { depths: chart } = comparisonCharts(TASKS, depths);
  const texts = [...chart.matchAll(/>([^<>\n]+)<\/text>/g)].map(([, content]) => content);
  const rows = texts.slice(texts.indexOf("full"), texts.indexOf("0"));
  assert.deepEqual(rows, ["full", "99", "1", "snapkv", "97", "3"]);
  assert.ok(texts.includes("1000 tokens, budget 10%"));
  const colours = [...chart.matchAll(/fill="#([0-9a-f]{2})([0-9a-f]{2})[0-9a-f]{2}"\/>\n<text[^>]*>(\d+)</g)];
  for (const [, red, green, score] of colours) {
    assert.equal(red > green, Number(score) < 50, "red is bad, green is good");
  }
  assert.equal(colours.length, 4);
});
