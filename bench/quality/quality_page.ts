/** @file The part of docs/quality.md that is made from results, between two marks; what stands around it is written by people. */
import type { Report } from "../../src/eval/report.ts";
import type { ComparisonResults } from "../../src/eval/comparison/results.ts";
import {
  averageTables,
  compressionStatement,
  percentOfFullTables,
  type ResultTable,
  taskTables,
} from "../../src/eval/comparison/comparison_table.ts";
import type { PlannedComparison } from "./plan.ts";

const BEGIN = "<!-- made by deno task quality: begin -->";
const END = "<!-- made by deno task quality: end -->";

/** Captions of figures, by the end of their names. */
const CAPTIONS: Readonly<Record<string, string>> = {
  scores: "Scores against the budget",
  agreement: "Agreement with the full cache against the budget",
  rows: "Rows per layer and task",
  depths: "Scores by depth and length",
};

/** A comparison that has been run, and the names of its figures, without folder. */
export interface MeasuredComparison {
  readonly planned: PlannedComparison;
  readonly report: Report<ComparisonResults>;
  readonly figures: readonly string[];
}

/**
 * Puts results into the page.
 *
 * @throws {Error} if the page lacks the marks
 */
export function withResults(page: string, measured: readonly MeasuredComparison[]): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin === -1 || end < begin) throw new Error(`The page must hold the lines ${BEGIN} and ${END}`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${measured.map(section).join("\n\n")}\n\n${page.slice(end)}`;
}

function section({ planned: { name, title, about }, report, figures }: MeasuredComparison): string {
  const { results: { tasks, mode, model, seed }, date, platform, deno, cpuThreads } = report;
  const samples = Math.max(...tasks.map(({ samples }) => samples));
  return [
    `## ${title}`,
    about,
    `${model}, ${samples} questions of each task and length, seed ${seed}; ${
      date.slice(0, 10)
    }, Deno ${deno}, ${platform}, ` +
    `${cpuThreads} CPU threads. ${compressionStatement(tasks, mode)}`,
    ...titled("Per cent of the full cache's average", percentOfFullTables(tasks)),
    ...figures.map((figure) => `![${CAPTIONS[figure]}](figures/quality-${name}-${figure}.svg)`),
    ...titled("Averages", averageTables(tasks)),
    // The average of one task is its score.
    ...titled("Score by task", taskTables(tasks).filter(({ header }) => header.length > 3)),
  ].join("\n\n");
}

function titled(what: string, tables: readonly ResultTable[]): string[] {
  return tables.flatMap(({ title, header, rows }) => [`${what}, ${title}:`, markdownTable(header, rows)]);
}

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const isNumeric = (column: number) => rows.every((row) => /^(\d|$)/.test(row[column]));
  const rule = header.map((_, column) => isNumeric(column) ? "---:" : "---");
  return [line(header), line(rule), ...rows.map(line)].join("\n");
}
