/** @file Comparisons as text, in the form of the paper's tables: a row for each policy, a column for each task. */
import { table } from "../report.ts";
import type { Summary, TaskSummary } from "./aggregate.ts";

/** A table for each length. */
export function comparisonTables(tasks: readonly TaskSummary[], averages: readonly Summary[]): string {
  const lengths = [...new Set(averages.map(({ length }) => length))];
  return lengths.map((length) => {
    const columns = [...new Set(tasks.filter((task) => task.length === length).map(({ task }) => task))];
    const rows = averages.filter((average) => average.length === length).map((average) => {
      const own = tasks.filter((task) =>
        task.length === length && task.policy === average.policy && task.budget === average.budget
      );
      return [
        average.policy,
        String(average.budget ?? "all"),
        ...columns.map((column) => number(own.find(({ task }) => task === column)?.score)),
        number(average.score),
        number(average.percentOfFull),
        number(average.differenceError),
        number(100 * average.agreement),
        number(100 * average.keptBytes),
        average.compressible > 0 ? `${average.compressed}/${average.compressible}` : "",
      ];
    });
    const header = ["policy", "budget", ...columns, ...AVERAGES];
    return `${length} tokens\n\n${table(header, rows)}`;
  }).join("\n\n");
}

/** Averages over the tasks: score, that in per cent of the full cache's, and so on; all in per cent. */
const AVERAGES = ["average", "% of full", "± points", "agreement", "bytes kept", "compressed"];

function number(value: number | null | undefined): string {
  return value?.toFixed(1) ?? "";
}
