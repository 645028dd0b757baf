/** @file Comparisons as figures. */
import { parseBudget } from "../../cache/budgets.ts";
import { heatMapPanel } from "../../charts/heat_map_panel.ts";
import { linePanel } from "../../charts/line_panel.ts";
import { barPanel, type Chart, drawFigure, type FigurePanel, inLines, type Series } from "../../charts/svg.ts";
import { type DepthSummary, type Summary, type TaskSummary, turnsOf, undecidedTasks } from "./aggregate.ts";
import type { TaskFamilyName } from "../tasks/families.ts";
import { isSecondTurn } from "./compare.ts";
import type { ComparisonResults } from "./results.ts";

const FULL: Series = { name: "full", colour: "#888888" };
/**
 * Every policy has one colour and one mark in all figures. The colours are Okabe and Ito's and, where these end, Tol's muted
 * ones: those who see few colours tell them apart, and marks do the rest.
 */
const LOOKS: Readonly<Record<string, Pick<Series, "colour" | "mark">>> = {
  readahead: { colour: "#000000", mark: "circle" },
  dynamickv: { colour: "#d55e00", mark: "square" },
  snapkv: { colour: "#0072b2", mark: "triangle" },
  keydiff: { colour: "#009e73", mark: "diamond" },
  pyramidkv: { colour: "#56b4e9", mark: "wedge" },
  adakv: { colour: "#cc79a7", mark: "plus" },
  cake: { colour: "#e69f00", mark: "cross" },
  lava: { colour: "#882255", mark: "diamond" },
  h2o: { colour: "#999933", mark: "circle" },
  streaming: { colour: "#332288", mark: "cross" },
  tova: { colour: "#aa4499", mark: "triangle" },
  knorm: { colour: "#117733", mark: "wedge" },
  defensive: { colour: "#661100", mark: "plus" },
  expectedattention: { colour: "#44aa99", mark: "square" },
  triattention: { colour: "#6699cc", mark: "diamond" },
  random: { colour: "#ddcc77", mark: "circle" },
  compactor: { colour: "#cc6677", mark: "wedge" },
  ebbkv: { colour: "#0033aa", mark: "square" },
  rehearsal: { colour: "#ee3377", mark: "triangle" },
};
/** How a policy that comes with Ebb is drawn. */
export function lookOf(policy: string): Series {
  return { name: policy, ...LOOKS[policy] };
}

/** Where all others are taken. */
const NO_LOOK: Pick<Series, "colour" | "mark"> = { colour: "#bbbbbb", mark: "circle" };
const COLUMNS = 3;
const PANEL_WIDTH = 330;
/** Pixels. The average is what is looked at first. */
const AVERAGE_HEIGHT = 340;
/** The task whose questions are asked by depth. */
const NEEDLE: TaskFamilyName = "needle";
/** What panels of per cent share. */
const HIGHEST = 100;

/** Both in per cent; the full cache's score is a dashed line. */
const MEASURES = {
  score: {
    title: "Score",
    value: ({ score }: Summary) => score,
    error: ({ differenceError }: Summary) => differenceError,
    ofWhat: "of the distance from the full cache",
    hasFull: true,
  },
  agreement: {
    title: "Tokens of the full cache's answer that are the likeliest with the compressed one too",
    value: ({ agreement }: Summary) => agreement === null ? null : 100 * agreement,
    // Results of before it was looked at have none.
    error: ({ agreementError = null }: Summary) => agreementError === null ? null : 100 * agreementError,
    ofWhat: "of the mean",
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
    ...(depths.length > 0 && { depths: depthsChart(depths, tasks, note) }),
  };
}

/** A measure in per cent against the budget, by policy: for each turn and length, the average and every task that tells policies apart. */
function budgetsChart(measure: keyof typeof MEASURES, tasks: readonly TaskSummary[], note: string): string {
  const { title, hasFull, error, ofWhat } = MEASURES[measure];
  const series = seriesOf(tasks);
  const undecided = hasFull ? undecidedTasks(tasks) : [];
  const groups = turnsOf(tasks).flatMap(({ name, tasks, averages }) =>
    [...Map.groupBy(tasks, ({ length }) => length)].map(([length, own]) => {
      const byTask = [...Map.groupBy(own, ({ task }) => task)];
      const told = byTask.filter(([task]) => !undecided.includes(task));
      const called = `${name === null ? "average" : `average of the ${name}`} of ${byTask.length} tasks`;
      return {
        average: byTask.length > 1
          ? {
            name: `${called}, ${length} tokens`,
            summaries: averages.filter((average) => average.length === length),
          }
          : undefined,
        tasks: (told.length > 0 ? told : byTask).map(([task, summaries]) => ({
          name: byTask.length > 1 ? task : `${task}, ${length} tokens`,
          summaries,
        })),
      };
    })
  );
  const panel = ({ name, summaries }: Measured, size: PanelSize = {}) =>
    measurePanel(measure, summaries, name, series, size);
  // Single tasks, of several lengths, stand beside each other.
  const lines = groups.some(({ average }) => average)
    ? groups.flatMap(({ average, tasks }) => aroundAverage(average, tasks, panel))
    : inLines(groups.flatMap(({ tasks }) => tasks.map((task) => panel(task))), COLUMNS);
  const hasLegend = new Set(tasks.flatMap(({ budget }) => budget ?? [])).size > 1;
  const notes = [
    note,
    ...tasks.some((task) => error(task)) ? [`Thin lines are standard errors ${ofWhat}`] : [],
    ...undecided.length > 0 ? [`Left out, for nobody lost anything there: ${undecided.join(", ")}`] : [],
  ];
  // Bars have their names beside them.
  const legend = hasLegend ? [...hasFull ? [FULL] : [], ...series] : [];
  return drawFigure({ ...frame(`${title}, in per cent`, ...notes), series: legend }, lines);
}

/** What a panel is of. */
interface Measured {
  readonly name: string;
  readonly summaries: readonly Summary[];
}

type PanelSize = Partial<Pick<FigurePanel, "height" | "span">>;

/** The average as wide as a line, unless a task would be alone in one: then it stands beside the average. */
function aroundAverage(
  average: Measured | undefined,
  tasks: readonly Measured[],
  panel: (measured: Measured, size?: PanelSize) => FigurePanel,
): FigurePanel[][] {
  if (average === undefined) return inLines(tasks.map((task) => panel(task)), COLUMNS);
  const height = AVERAGE_HEIGHT;
  const beside = tasks.length % COLUMNS === 1 ? 1 : 0;
  return [
    [
      panel(average, { height, span: COLUMNS - beside }),
      ...tasks.slice(0, beside).map((task) => panel(task, { height })),
    ],
    ...inLines(tasks.slice(beside).map((task) => panel(task)), COLUMNS),
  ];
}

/** Lines over the share of the rows that is kept; with a single budget, bars. */
function measurePanel(
  measure: keyof typeof MEASURES,
  summaries: readonly Summary[],
  name: string,
  series: readonly Series[],
  size: PanelSize,
): FigurePanel {
  const { value, error, hasFull } = MEASURES[measure];
  const [{ length, samples }] = summaries;
  const title = `${name}, n = ${samples}`;
  const full = summaries.find(({ policy }) => policy === FULL.name);
  const budgets = budgetsOf(summaries);
  const found = ({ name }: Series, budget: number | string) =>
    summaries.find((summary) => summary.policy === name && summary.budget === budget);
  if (budgets.length === 1) {
    const row = (one: Series, summary: Summary | undefined) => {
      const shown = summary && value(summary);
      if (!summary || shown === null || shown === undefined) return [];
      const bar = { segments: [{ series: one, value: shown }], text: shown.toFixed(0), error: error(summary) ?? 0 };
      return [{ label: one.name, bars: [bar] }];
    };
    return {
      ...barPanel({
        title,
        axis: `per cent, at ${shareOf(budgets[0], length)} of the rows`,
        highest: HIGHEST,
        rows: [...hasFull ? row(FULL, full) : [], ...series.flatMap((one) => row(one, found(one, budgets[0])))],
      }),
      span: size.span,
    };
  }
  return linePanel({
    title,
    axis: "share of KV rows kept (logarithmic)",
    upwards: "per cent",
    places: budgets.map((budget) => shareOf(budget, length)),
    positions: budgets.map((budget) => Math.log(parseBudget(budget, length))),
    highest: HIGHEST,
    lines: series.map((one) => ({
      series: one,
      values: budgets.map((budget) => {
        const summary = found(one, budget);
        return summary ? value(summary) : null;
      }),
      errors: budgets.map((budget) => {
        const summary = found(one, budget);
        return summary ? error(summary) : null;
      }),
    })),
    level: hasFull && full ? { series: FULL, value: value(full)! } : undefined,
  }, size);
}

/** A budget as a share of the prompt, to two digits. */
function shareOf(budget: number | string, length: number): string {
  if (typeof budget === "string") return budget;
  return `${Number((100 * budget / length).toPrecision(2))}%`;
}

/** Rows that each layer keeps, by task and policy, of the longest prompts at the largest budget, where policies differ most. */
function rowsChart(tasks: readonly TaskSummary[], note: string): string {
  const length = Math.max(...tasks.map((task) => task.length));
  // A second turn has the cache of the first.
  const longest = tasks.filter((task) => task.length === length && !isSecondTurn(task.task));
  const budget = budgetsOf(longest).at(-1)!;
  const shown = longest.filter((task) => task.budget === budget);
  const highest = Math.max(...shown.flatMap(({ rowsPerLayer }) => rowsPerLayer));
  const uniform = uniformPolicies(shown);
  const together: Series = { name: `uniform (${uniform.join(", ")})`, colour: FULL.colour, mark: "square" };
  const own = seriesOf(shown).filter(({ name }) => !uniform.includes(name));
  const series = uniform.length > 0 ? [together, ...own] : own;
  const panels = [...Map.groupBy(shown, ({ task }) => task)].map(([task, summaries]) =>
    linePanel({
      title: `${task}, n = ${summaries[0].samples}`,
      axis: "layer",
      upwards: "rows kept",
      places: summaries[0].rowsPerLayer.map((_, layer) => String(layer)),
      highest,
      lines: series.flatMap((one) => {
        const name = one === together ? uniform[0] : one.name;
        const values = summaries.find(({ policy }) => policy === name)?.rowsPerLayer;
        return values ? [{ series: one, values }] : [];
      }),
    })
  );
  const title = `Rows that each layer keeps of ${length} tokens at a budget of ${budget}, mean over the questions`;
  return drawFigure({ ...frame(title, note), series }, inLines(panels, COLUMNS));
}

/** Policies that keep as many rows in every layer, of every task, if there are several: one line stands for all of them. */
function uniformPolicies(tasks: readonly TaskSummary[]): string[] {
  const own = tasks.filter(({ policy }) => policy !== FULL.name);
  const policies = [...Map.groupBy(own, ({ policy }) => policy)].filter(([, tasks]) =>
    tasks.every(({ rowsPerLayer }) => Math.max(...rowsPerLayer) - Math.min(...rowsPerLayer) < 1)
  ).map(([policy]) => policy);
  return policies.length > 1 ? policies : [];
}

/** Scores by policy and depth, a panel for each length and budget. */
function depthsChart(depths: readonly DepthSummary[], tasks: readonly TaskSummary[], note: string): string {
  const budgets = budgetsOf(depths);
  const places = [...new Set(depths.map(({ depth }) => depth))].sort((a, b) => a - b);
  const policies = [...new Set(depths.map(({ policy }) => policy))];
  // No other task has depths.
  const samplesOf = (length: number) => tasks.find((task) => task.task === NEEDLE && task.length === length)!.samples;
  const groups = [...Map.groupBy(depths, ({ length }) => length)].map(([length, own]) =>
    budgetsOf(own).map((budget) =>
      heatMapPanel({
        title: `${length} tokens, budget ${budget}, n = ${samplesOf(length)}`,
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
  // With a single budget, lengths stand beside each other.
  const lines = budgets.length === 1 ? inLines(groups.flat(), COLUMNS) : groups.flatMap((one) => inLines(one, COLUMNS));
  return drawFigure({
    ...frame("Score by depth of the needle, in per cent", note, "n questions, spread over the depths"),
    series: [],
  }, lines);
}

function frame(title: string, ...notes: string[]): Omit<Chart, "series" | "panels"> {
  return { title, notes, columns: COLUMNS, panelWidth: PANEL_WIDTH };
}

/** A look for each policy but the full cache; those that have none of their own, such as users', take what is left. */
function seriesOf(summaries: readonly Summary[]): Series[] {
  const names = [...new Set(summaries.map(({ policy }) => policy))].filter((name) => name !== FULL.name);
  const spare = Object.entries(LOOKS).flatMap(([name, look]) => names.includes(name) ? [] : [look]);
  return names.map((name) => ({ name, ...LOOKS[name] ?? spare.shift() ?? NO_LOOK }));
}

/** From the smallest to the largest. */
function budgetsOf(summaries: readonly Pick<Summary, "budget" | "length">[]): (number | string)[] {
  const [{ length }] = summaries;
  const budgets = [...new Set(summaries.flatMap(({ budget }) => budget ?? []))];
  return budgets.sort((a, b) => parseBudget(a, length) - parseBudget(b, length));
}
