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

/** A third budget, of 500 rows: half of the prompt. */
const THREE = [...TASKS, { ...TASKS[1], budget: 500 }];

Deno.test("Scores are drawn over the share of the rows, on a logarithmic axis, the full cache's as a level", () => {
  const { scores } = comparisonCharts(THREE);
  const [line] = [...scores.matchAll(/<path d="M([^"Z]+L[^"Z]+)" fill="none" stroke="#0072b2"/g)];
  const points = line[1].split("L").map((point) => point.split(" ").map(Number));
  const [[x1, y1], [x2, y2], [x3]] = points;
  const level = Number(/<path d="M[\d.]+ ([\d.]+)H[\d.]+" [^>]*stroke-dasharray/.exec(scores)![1]);
  // 64, 100 and 500 of 1,000 rows.
  assert.ok(Math.abs((x2 - x1) / (x3 - x1) - Math.log(100 / 64) / Math.log(500 / 64)) < 0.01, String(points));
  assert.ok(Math.abs((y1 - level) - 1.5 * (y2 - level)) < 0.5, `${y1} ${y2} ${level}`);
  for (const share of ["6.4%", "10%", "50%"]) assert.ok(scores.includes(`>${share}<`), share);
  assert.match(scores, /logarithmic/);
});

Deno.test("How far a score may be off is drawn, and how many questions there were is said", () => {
  const { scores } = comparisonCharts(THREE.map((task) => ({ ...task, differenceError: task.budget === 64 ? 10 : 0 })));
  const [, low, high] = /<path d="M[\d.]+ ([\d.]+)V([\d.]+)" stroke="#0072b2"/.exec(scores)!.map(Number);
  const [bottom, ...higher] = [...scores.matchAll(/<path d="M[\d.]+ ([\d.]+)H/g)].map(([, y]) => Number(y));
  // From 10 to 30 of 100.
  const height = bottom - Math.min(...higher);
  assert.deepEqual([low, high].map((y) => Math.round(100 * (bottom - y) / height)), [10, 30]);
  assert.match(scores, />needle, 1000 tokens, n = 2</);
});

Deno.test("How far an agreement may be off is drawn where it is known", () => {
  const { agreement } = comparisonCharts(
    THREE.map((task) => ({ ...task, agreement: 0.5, agreementError: task.budget === 64 ? 0.25 : null })),
  );
  const bars = [...agreement.matchAll(/<path d="M[\d.]+ ([\d.]+)V([\d.]+)" stroke="#0072b2"/g)];
  assert.equal(bars.length, 1);
  const [bottom, ...higher] = [...agreement.matchAll(/<path d="M[\d.]+ ([\d.]+)H/g)].map(([, y]) => Number(y));
  const height = bottom - Math.min(...higher);
  assert.deepEqual(bars[0].slice(1, 3).map((y) => Math.round(100 * (bottom - Number(y)) / height)), [25, 75]);
  assert.match(agreement, /Thin lines are standard errors of the mean/);
  const { agreement: unknown } = comparisonCharts(THREE);
  assert.doesNotMatch(unknown, /Thin lines/);
});

Deno.test("A single budget is drawn as bars, the full cache's among them, all on one scale and with their names", () => {
  const { scores } = comparisonCharts(TASKS.slice(0, 2));
  assert.match(scores, /per cent, at 10% of the rows/);
  // No score is above 80.
  assert.match(scores, />100</);
  assert.equal([...scores.matchAll(/>snapkv</g)].length, 1);
  const widths = [...scores.matchAll(/<rect [^>]*width="([\d.]+)" height="12" fill="(#0072b2|#888888)"/g)];
  const widest = Object.fromEntries(widths.map(([, width, colour]) => [colour, Number(width)]));
  assert.ok(Math.abs(widest["#888888"] - 2 * widest["#0072b2"]) < 0.5, JSON.stringify(widest));
});

Deno.test("Tasks on which nobody lost anything are left out, and named", () => {
  const even = TASKS.map((task) => ({ ...task, task: "few-shot", percentOfFull: 100 }));
  const { scores } = comparisonCharts([...TASKS, ...even]);
  const panels = [...scores.matchAll(/>([^<>]+?)(?:, 1000 tokens)?, n = \d/g)].map(([, name]) => name);
  assert.deepEqual(panels, ["average of 2 tasks", "needle"]);
  assert.match(scores, /Left out, for nobody lost anything there: few-shot</);
});

Deno.test("The average of several tasks is drawn beside them", () => {
  const others = TASKS.map((task) => ({ ...task, task: "code" }));
  const { scores } = comparisonCharts([...TASKS, ...others]);
  const panels = [...scores.matchAll(/>([^<>]+?)(?:, 1000 tokens)?, n = \d/g)].map(([, name]) => name);
  assert.deepEqual(panels, ["average of 2 tasks", "needle", "code"]);
});

Deno.test("Every policy has one colour and one mark in all figures, and no two have the same colour", () => {
  const names = policies.map(({ name }) => name).filter((name) => name !== "full");
  const looksOf = (names: readonly string[]) => {
    const { rows } = comparisonCharts(names.map((name, i) => ({ ...TASKS[1], policy: name, rowsPerLayer: [i, 50] })));
    const legend = [...rows.matchAll(/^<(circle|path)( d="[^"]*")?[^>]* fill="(#\w+)"\/>\n<text[^>]*>([\w+]+)</gm)];
    return new Map(
      legend.map(([, shape, path = "", colour, name]) => [name, { colour, corners: shape + path.split("L").length }]),
    );
  };
  const all = looksOf(names);
  assert.equal(new Set(names.map((name) => all.get(name)!.colour)).size, names.length);
  for (const name of names) assert.deepEqual(looksOf([name, "h2o+dynamickv"]).get(name), all.get(name), name);
});

Deno.test("A task that would be alone in its line stands beside the average, and single tasks beside each other", () => {
  /** How many panels have their title at each height. */
  const linesOf = (tasks: readonly TaskSummary[]) => {
    const { scores } = comparisonCharts(tasks);
    const tops = [...scores.matchAll(/y="([\d.]+)"[^>]*>[^<>]+, n = \d/g)].map(([, y]) => Number(y));
    return [...Map.groupBy(tops, (top) => top).values()].map(({ length }) => length);
  };
  const named = (count: number) =>
    Array.from({ length: count }, (_, i) => THREE.map((one) => ({ ...one, task: `task ${i}` }))).flat();
  assert.deepEqual(linesOf(named(4)), [2, 3]);
  assert.deepEqual(linesOf(named(5)), [1, 3, 2]);
  assert.deepEqual(linesOf(named(6)), [1, 3, 3]);
  assert.deepEqual(linesOf(THREE.flatMap((one) => [one, { ...one, length: 2000 }])), [2]);
});

Deno.test("Each turn has an average and panels of its own", () => {
  const both = [...TASKS, ...TASKS.map((task) => ({ ...task, task: "code" }))];
  const { scores } = comparisonCharts([
    ...both,
    ...both.map((task) => ({ ...task, task: secondTurn(task.task), score: task.score / 2 })),
  ]);
  const panels = [...scores.matchAll(/>([^<>]+?)(?:, 1000 tokens)?, n = \d/g)].map(([, name]) => name);
  assert.deepEqual(panels, [
    "average of the first turn of 2 tasks",
    "needle",
    "code",
    "average of the second turn of 2 tasks",
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
  const [, line] = /<path d="M([^"Z]+L[^"Z]+)" fill="none" stroke="#0072b2"/.exec(rows)!;
  const points = line.split("L").map((point) => Number(point.split(" ")[1]));
  const height = bottom - higher.at(-1)!;
  assert.deepEqual(points.map((y) => Math.round(80 * (bottom - y) / height)), [70, 30]);
});

Deno.test("Policies that keep as many rows in every layer are drawn once", () => {
  const kept = { streaming: [50, 50], h2o: [50, 50.4], snapkv: [70, 30] };
  const tasks = Object.entries(kept).map(([policy, rowsPerLayer]) => ({ ...TASKS[1], policy, rowsPerLayer }));
  const { rows } = comparisonCharts(tasks);
  assert.match(rows, />uniform \(streaming, h2o\)</);
  assert.equal([...rows.matchAll(/fill="none" stroke="#\w+" stroke-width="1\.5"/g)].length, 2);
});

Deno.test("A server that does not tell its rows has no picture of them", () => {
  const { scores, rows } = comparisonCharts(TASKS.map((task) => ({ ...task, rowsPerLayer: [] })));
  assert.ok(scores);
  assert.equal(rows, undefined);
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
  assert.ok(texts.includes("1000 tokens, budget 10%, n = 2"));
  // The darker the better, in one hue: less of every colour.
  const cells = [...chart.matchAll(/fill="#([0-9a-f]{6})"\/>\n<text[^>]*>(\d+)</g)].map(([, colour, score]) => ({
    score: Number(score),
    light: [0, 2, 4].reduce((sum, at) => sum + parseInt(colour.slice(at, at + 2), 16), 0),
  }));
  assert.equal(cells.length, 4);
  cells.sort((a, b) => a.score - b.score);
  for (let i = 1; i < cells.length; i++) assert.ok(cells[i].light < cells[i - 1].light, JSON.stringify(cells));
});
