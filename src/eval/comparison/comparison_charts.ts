/** @file Comparisons as figures. */
import { parseBudget } from "../../cache/budgets.ts";
import { drawHeatMap, heatMapHeight, type HeatMapPanel } from "../../charts/heat_map_panel.ts";
import { drawLinePanel, LINE_PANEL_HEIGHT, type LinePanel } from "../../charts/line_panel.ts";
import { type Chart, drawFigure, type FigurePanel, type Series } from "../../charts/svg.ts";
import { type DepthSummary, type Summary, type TaskSummary, type Turn, turnsOf } from "./aggregate.ts";
import { isSecondTurn } from "./compare.ts";
import type { ComparisonResults } from "./results.ts";

const FULL: Series = { name: "full", colour: "#888888" };
/** Every policy has one colour in all figures. */
const COLOURS: Readonly<Record<string, string>> = {
  streaming: "#8fb935",
  h2o: "#8c5a2b",
  tova: "#d9b600",
  snapkv: "#2a6fbb",
  pyramidkv: "#17a2b8",
  adakv: "#8e5bb5",
  cake: "#e377c2",
  lava: "#e67e22",
  knorm: "#1f3b73",
  keydiff: "#2e8b57",
  defensive: "#ff7f0e",
  expectedattention: "#00a087",
  triattention: "#a0522d",
  random: "#7f7f7f",
  dynamickv: "#c0392b",
  readahead: "#111111",
};
/** Where all others are taken. */
const NO_COLOUR = "#bbbbbb";
const COLUMNS = 3;
const PANEL_WIDTH = 330;

const SIDE_BY_SIDE = "Points of one place on the axis stand side by side, in the order of the legend";

/** Both in per cent; the full cache's score is a dashed line. */
const MEASURES = {
  score: { title: "Score", value: ({ score }: Summary) => score, hasFull: true },
  agreement: {
    title: "Tokens of the full cache's answer that are the likeliest with the compressed one too",
    value: ({ agreement }: Summary) => agreement === null ? null : 100 * agreement,
    hasFull: false,
  },
};

/** The figures of a comparison by name; none where only the full cache was asked. */
export function comparisonCharts(
  { tasks, depths, model, mode }: Pick<ComparisonResults, "tasks" | "depths" | "model" | "mode">,
): Record<string, string> {
  if (tasks.every(({ budget }) => budget === null)) return {};
  const samples = Math.max(...tasks.map(({ samples }) => samples));
  const note = `${model}, ${mode}, ${samples} questions of each task and length`;
  return {
    scores: budgetsChart("score", tasks, note),
    ...(tasks.some(({ agreement }) => agreement !== null) && { agreement: budgetsChart("agreement", tasks, note) }),
    ...(tasks.every(({ rowsPerLayer }) => rowsPerLayer.length > 0) && { rows: rowsChart(tasks, note) }),
    ...(depths.length > 0 && { depths: depthsChart(depths, note) }),
  };
}

/** A measure in per cent against the budget, by policy: for each turn and length, the average and every task. */
function budgetsChart(measure: keyof typeof MEASURES, tasks: readonly TaskSummary[], note: string): string {
  const { title, value, hasFull } = MEASURES[measure];
  const series = seriesOf(tasks);
  const panel = (summaries: readonly Summary[], name: string): FigurePanel => {
    const [{ length }] = summaries;
    const budgets = budgetsOf(summaries);
    const full = summaries.find(({ policy }) => policy === FULL.name);
    return linePanel({
      title: `${name}, ${length} tokens`,
      axis: budgets.every((budget) => typeof budget === "string")
        ? "budget: share of the prompt's rows"
        : "budget: rows per layer, or a share",
      places: budgets.map(String),
      highest: 100,
      lines: series.map((one) => ({
        series: one,
        values: budgets.map((budget) => {
          const found = summaries.find((summary) => summary.policy === one.name && summary.budget === budget);
          return found ? value(found) : null;
        }),
      })),
      level: hasFull && full ? { series: FULL, value: value(full)! } : undefined,
    });
  };
  const linesOf = ({ name, tasks, averages }: Turn) =>
    [...Map.groupBy(tasks, ({ length }) => length)].map(([length, own]) => {
      const byTask = [...Map.groupBy(own, ({ task }) => task)].map(([task, summaries]) => panel(summaries, task));
      if (byTask.length === 1) return byTask;
      const average = averages.filter((average) => average.length === length);
      return [panel(average, name === null ? "average" : `average of the ${name}`), ...byTask];
    });
  return drawFigure(
    { ...frame(`${title}, in per cent`, note, SIDE_BY_SIDE), series: hasFull ? [FULL, ...series] : series },
    inLines(turnsOf(tasks).flatMap(linesOf)),
  );
}

/** Rows that each layer keeps, by task and policy, of the longest prompts at the largest budget, where policies differ most. */
function rowsChart(tasks: readonly TaskSummary[], note: string): string {
  const length = Math.max(...tasks.map((task) => task.length));
  // A second turn has the cache of the first.
  const longest = tasks.filter((task) => task.length === length && !isSecondTurn(task.task));
  const budget = budgetsOf(longest).at(-1)!;
  const shown = longest.filter((task) => task.budget === budget);
  const highest = Math.max(...shown.flatMap(({ rowsPerLayer }) => rowsPerLayer));
  const series = seriesOf(shown);
  const panels = [...Map.groupBy(shown, ({ task }) => task)].map(([task, summaries]) =>
    linePanel({
      title: task,
      axis: "layer",
      places: summaries[0].rowsPerLayer.map((_, layer) => String(layer)),
      highest,
      lines: summaries.map(({ policy, rowsPerLayer }) => ({
        series: series.find(({ name }) => name === policy)!,
        values: rowsPerLayer,
      })),
    })
  );
  const title = `Rows that each layer keeps of ${length} tokens at a budget of ${budget}, mean over the questions`;
  return drawFigure({ ...frame(title, note, SIDE_BY_SIDE), series }, panels);
}

/** Scores by policy and depth, a panel for each length and budget. */
function depthsChart(depths: readonly DepthSummary[], note: string): string {
  const places = [...new Set(depths.map(({ depth }) => depth))].sort((a, b) => a - b);
  const policies = [...new Set(depths.map(({ policy }) => policy))];
  const lines = [...Map.groupBy(depths, ({ length }) => length)].map(([length, own]) =>
    budgetsOf(own).map((budget) =>
      heatMap({
        title: `${length} tokens, budget ${budget}`,
        columns: places.map(String),
        rows: policies,
        axis: "depth, in per cent of the document",
        values: policies.map((policy) =>
          places.map((depth) =>
            own.find((one) =>
              one.policy === policy && one.depth === depth && (one.budget === null || one.budget === budget)
            )?.score ?? null
          )
        ),
      })
    )
  );
  return drawFigure({ ...frame("Score by depth of the needle, in per cent", note), series: [] }, inLines(lines));
}

function linePanel(panel: LinePanel): FigurePanel {
  return { height: LINE_PANEL_HEIGHT, draw: (left, top) => drawLinePanel(panel, left, top, PANEL_WIDTH) };
}

function heatMap(panel: HeatMapPanel): FigurePanel {
  return { height: heatMapHeight(panel), draw: (left, top) => drawHeatMap(panel, left, top, PANEL_WIDTH) };
}

/** Lets every group of several panels begin a line of its own. */
function inLines(groups: readonly (readonly FigurePanel[])[]): FigurePanel[] {
  const isBroken = groups.some(({ length }) => length > 1);
  return groups.flatMap((panels) => {
    const gap = isBroken ? (COLUMNS - panels.length % COLUMNS) % COLUMNS : 0;
    return [...panels, ...Array<FigurePanel>(gap).fill({ height: 0, draw: () => "" })];
  });
}

function frame(title: string, ...notes: string[]): Omit<Chart, "series" | "panels"> {
  return { title, notes, columns: COLUMNS, panelWidth: PANEL_WIDTH };
}

/** A colour for each policy but the full cache; those that have none of their own take what is left. */
function seriesOf(summaries: readonly Summary[]): Series[] {
  const names = [...new Set(summaries.map(({ policy }) => policy))].filter((name) => name !== FULL.name);
  const spare = Object.entries(COLOURS).flatMap(([name, colour]) => names.includes(name) ? [] : [colour]);
  return names.map((name) => ({ name, colour: COLOURS[name] ?? spare.shift() ?? NO_COLOUR }));
}

/** From the smallest to the largest. */
function budgetsOf(summaries: readonly Pick<Summary, "budget" | "length">[]): (number | string)[] {
  const [{ length }] = summaries;
  const budgets = [...new Set(summaries.flatMap(({ budget }) => budget ?? []))];
  return budgets.sort((a, b) => parseBudget(a, length) - parseBudget(b, length));
}
