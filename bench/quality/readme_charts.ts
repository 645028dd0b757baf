/** @file The pictures of the README, drawn from the results that docs/quality.md reports. */
import { type HeatMapPanel, heatMapPanel } from "../../src/charts/heat_map_panel.ts";
import { type Bar, drawChart, drawFigure, type Panel } from "../../src/charts/svg.ts";
import { lookOf } from "../../src/eval/comparison/comparison_charts.ts";
import { averageTasks, type Summary, turnsOf } from "../../src/eval/comparison/aggregate.ts";
import type { ComparisonResults } from "../../src/eval/comparison/results.ts";
import type { Report } from "../../src/eval/report.ts";

/** Results by the name of their comparison in plan.ts. */
export type Reports = Readonly<Record<string, Report<ComparisonResults>>>;

/** The figures by name. */
export function readmeCharts(reports: Reports): Record<string, string> {
  return { "rows-by-task": layersChart(reports), "policies-by-situation": situationsChart(reports) };
}

const LAYERS_BUDGET = "6.9%";
const PANEL_WIDTH = 440;

/** Rows that each layer keeps under two policies, a line for each family of tasks. */
function layersChart({ tasks: { results } }: Reports): string {
  const shown = results.tasks.filter(({ budget }) => budget === LAYERS_BUDGET);
  const [{ length, samples }] = shown;
  const highest = Math.max(
    ...shown.filter(({ policy }) => ["dynamickv", "ebbkv"].includes(policy)).flatMap((task) => task.rowsPerLayer),
  );
  const panel = (policy: string): HeatMapPanel => {
    const tasks = shown.filter((task) => task.policy === policy);
    return {
      title: policy,
      columns: tasks[0].rowsPerLayer.map((_, layer) => String(layer)),
      rows: tasks.map(({ task }) => task),
      axis: "layer",
      values: tasks.map(({ rowsPerLayer }) => rowsPerLayer),
      highest,
    };
  };
  return drawFigure(
    {
      title: `KV rows that each layer keeps of a prompt of ${length} tokens`,
      notes: [
        `Budget ${LAYERS_BUDGET}: ${Math.round(mean(shown[0].rowsPerLayer))} rows a layer on average. ` +
        `${results.model}, means over ${samples} questions of each task, seed ${results.seed}`,
      ],
      series: [],
      columns: 2,
      panelWidth: PANEL_WIDTH,
    },
    [["dynamickv", "ebbkv"].map((policy) => heatMapPanel(panel(policy)))],
  );
}

/** What a cache is compressed for, and which comparison measured it. */
const SITUATIONS = [
  { title: "The prompt ends with the question", comparison: "two-turn", budget: "6.9%", turn: "first turn" },
  { title: "The question comes later", comparison: "query-agnostic", budget: "20%", turn: null },
  { title: "A second question to the same cache", comparison: "two-turn", budget: "20%", turn: "second turn" },
  { title: "Evicting while tokens are generated", comparison: "decoding", budget: "20%", turn: null },
] as const;

/** From the one that the README advises in the first situation to the default. */
const SHOWN_POLICIES = ["ebbkv", "rehearsal", "readahead", "keydiff", "snapkv", "dynamickv"];

/** What is left of the full cache's score in four situations. */
function situationsChart(reports: Reports): string {
  return drawChart({
    title: "Per cent of the full cache's average score, by policy",
    notes: [
      "ebb-mini, mean over the families of tasks; a policy without a bar was not measured. Thin lines: standard errors",
    ],
    series: [],
    panels: SITUATIONS.map(({ title, comparison, budget, turn }): Panel => {
      const { tasks } = reports[comparison].results;
      const own = turn === null ? tasks : turnsOf(tasks).find(({ name }) => name === turn)!.tasks;
      const averages = averageTasks(own);
      const [{ length, samples }] = averages;
      return {
        title: `${title}, n = ${samples}`,
        axis: `per cent, at ${budget} of ${length} tokens`,
        highest: 100,
        rows: SHOWN_POLICIES.flatMap((policy) => {
          const average = averages.find((average) => average.policy === policy && average.budget === budget);
          return average === undefined ? [] : [{ label: policy, bars: [bar(average)] }];
        }),
      };
    }),
    columns: 2,
    panelWidth: PANEL_WIDTH,
  });
}

function bar({ policy, percentOfFull, score, differenceError }: Summary): Bar {
  // In per cent of the full cache's score, as the bar is.
  const error = (differenceError ?? 0) * percentOfFull! / score;
  // What is right by chance where the full cache is not is no gain.
  const value = Math.min(percentOfFull!, 100);
  return { segments: [{ series: lookOf(policy), value }], text: value.toFixed(0), error };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value) / values.length;
}
