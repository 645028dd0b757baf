/** @file Comparisons as figures. */
import { parseBudget } from "../../src/cache/budgets.ts";
import { drawHeatMap, heatMapHeight, type HeatMapPanel } from "../heat_map_panel.ts";
import { drawLinePanel, LINE_PANEL_HEIGHT, type LinePanel } from "../line_panel.ts";
import { type Chart, drawChart, drawFigure, type Series } from "../svg.ts";
import type { DepthSummary, Summary, TaskSummary } from "./aggregate.ts";
import { isSecondTurn } from "./compare.ts";

const FULL: Series = { name: "full", colour: "#555555" };
const COLOURS = [
  "#2a6fbb",
  "#e08a2e",
  "#3a9a5b",
  "#c0392b",
  "#8e5bb5",
  "#17a2b8",
  "#8c6d46",
  "#e377c2",
  "#9a9a1f",
  "#1f3b73",
];
const COLUMNS = 3;
const PANEL_WIDTH = 330;

/** Both in per cent; the full cache's score is a dashed line. */
const MEASURES = {
  score: { title: "Score", value: ({ score }: Summary) => score, hasFull: true },
  agreement: {
    title: "Tokens of the full cache's answer that are the likeliest with the compressed one too",
    value: ({ agreement }: Summary) => agreement === null ? null : 100 * agreement,
    hasFull: false,
  },
};

/** The figures of a comparison by name; none where only the full cache was asked. `note` says what was measured. */
export function comparisonCharts(
  tasks: readonly TaskSummary[],
  averages: readonly Summary[],
  depths: readonly DepthSummary[],
  note: string,
): Record<string, string> {
  if (averages.every(({ budget }) => budget === null)) return {};
  return {
    scores: budgetsChart("score", tasks, averages, note),
    ...(averages.some(({ agreement }) => agreement !== null) && {
      agreement: budgetsChart("agreement", tasks, averages, note),
    }),
    ...(tasks.every(({ rowsPerLayer }) => rowsPerLayer.length > 0) && { rows: rowsChart(tasks, note) }),
    ...(depths.length > 0 && { depths: depthsChart(depths, note) }),
  };
}

/** A measure in per cent against the budget, by policy: for each length, the average and every task. */
function budgetsChart(
  measure: keyof typeof MEASURES,
  tasks: readonly TaskSummary[],
  averages: readonly Summary[],
  note: string,
): string {
  const { title, value, hasFull } = MEASURES[measure];
  const series = seriesOf(averages);
  const panel = (summaries: readonly Summary[], name: string): LinePanel => {
    const [{ length }] = summaries;
    const budgets = budgetsOf(summaries);
    const full = summaries.find(({ policy }) => policy === FULL.name);
    return {
      title: `${name}, ${length} tokens`,
      axis: "budget: rows per layer, or a share",
      places: budgets.map(String),
      lines: series.map((one) => ({
        series: one,
        values: budgets.map((budget) => {
          const found = summaries.find((summary) => summary.policy === one.name && summary.budget === budget);
          return found ? value(found) : null;
        }),
      })),
      level: hasFull && full ? { series: FULL, value: value(full)! } : undefined,
    };
  };
  const panels = [...new Set(averages.map(({ length }) => length))].flatMap((length) => {
    const own = tasks.filter((task) => task.length === length);
    const byTask = [...Map.groupBy(own, ({ task }) => task)].map(([task, summaries]) => panel(summaries, task));
    const average = panel(averages.filter((average) => average.length === length), "average");
    const drawn = (byTask.length > 1 ? [average, ...byTask] : byTask).map((panel) => ({
      height: LINE_PANEL_HEIGHT,
      draw: (left: number, top: number) => drawLinePanel(panel, left, top, PANEL_WIDTH),
    }));
    // Every length of several panels begins a line of its own.
    while (drawn.length > 1 && drawn.length % COLUMNS > 0) drawn.push({ height: 0, draw: () => "" });
    return drawn;
  });
  return drawFigure(
    { ...frame(`${title}, in per cent`, note), series: hasFull ? [FULL, ...series] : series },
    panels,
  );
}

/** Rows that each layer keeps, by task and policy, of the longest prompts at the largest budget, where policies differ most. */
function rowsChart(tasks: readonly TaskSummary[], note: string): string {
  const length = Math.max(...tasks.map((task) => task.length));
  // A second turn has the cache of the first.
  const longest = tasks.filter((task) => task.length === length && !isSecondTurn(task.task));
  const budget = budgetsOf(longest).at(-1)!;
  const shown = longest.filter((task) => task.budget === budget);
  const series = seriesOf(shown);
  return drawChart({
    ...frame(`Rows that each layer keeps of ${length} tokens at a budget of ${budget}`, note),
    series,
    panels: [...Map.groupBy(shown, ({ task }) => task)].map(([task, summaries]) => ({
      title: task,
      axis: "rows, mean over the questions",
      rows: summaries[0].rowsPerLayer.map((_, layer) => ({
        label: `layer ${layer}`,
        bars: summaries.map(({ policy, rowsPerLayer }) => ({
          segments: [{ series: series.find(({ name }) => name === policy)!, value: rowsPerLayer[layer] }],
        })),
      })),
    })),
  });
}

/** Scores by length and depth, a panel for each policy and budget. */
function depthsChart(depths: readonly DepthSummary[], note: string): string {
  const contenders = [...Map.groupBy(depths, ({ policy, budget }) => JSON.stringify([policy, budget])).values()];
  const panels = contenders.map((own): HeatMapPanel => {
    const [{ policy, budget }] = own;
    const lengths = [...new Set(own.map(({ length }) => length))].sort((a, b) => a - b);
    const places = [...new Set(own.map(({ depth }) => depth))].sort((a, b) => a - b);
    return {
      title: budget === null ? policy : `${policy}, budget ${budget}`,
      columns: lengths.map(String),
      rows: places.map((depth) => `${depth} %`),
      columnAxis: "tokens",
      rowAxis: "depth",
      values: places.map((depth) =>
        lengths.map((length) => own.find((one) => one.length === length && one.depth === depth)?.score ?? null)
      ),
    };
  });
  return drawFigure(
    { ...frame("Score by depth of the needle and length, in per cent", note), series: [] },
    panels.map((panel) => ({
      height: heatMapHeight(panel),
      draw: (left, top) => drawHeatMap(panel, left, top, PANEL_WIDTH),
    })),
  );
}

function frame(title: string, note: string): Omit<Chart, "series" | "panels"> {
  return { title, notes: [note], columns: COLUMNS, panelWidth: PANEL_WIDTH };
}

/** A colour for each policy but the full cache. */
function seriesOf(summaries: readonly Summary[]): Series[] {
  const names = [...new Set(summaries.map(({ policy }) => policy))].filter((name) => name !== FULL.name);
  return names.map((name, i) => ({ name, colour: COLOURS[i % COLOURS.length] }));
}

/** From the smallest to the largest. */
function budgetsOf(summaries: readonly Summary[]): (number | string)[] {
  const [{ length }] = summaries;
  const budgets = [...new Set(summaries.flatMap(({ budget }) => budget ?? []))];
  return budgets.sort((a, b) => parseBudget(a, length) - parseBudget(b, length));
}
