/** @file Comparisons as text, in the form of the paper's tables: a row for each policy, a column for each task. */
import { table } from "../report.ts";
import type { Summary, TaskSummary } from "./aggregate.ts";

/** What is to be shown for a length. */
export interface LengthTable {
  readonly length: number;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A table for each length, for a terminal. */
export function comparisonTables(tasks: readonly TaskSummary[], averages: readonly Summary[]): string {
  return comparisonRows(tasks, averages)
    .map(({ length, header, rows }) => `${length} tokens\n\n${table(header, rows)}`).join("\n\n");
}

/** A row for each policy and budget, a column for each task and for each average. */
export function comparisonRows(tasks: readonly TaskSummary[], averages: readonly Summary[]): LengthTable[] {
  return lengthsOf(averages).map((length) => {
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
        number(percent(average.agreement)),
        average.divergence?.toFixed(3) ?? "",
        number(percent(average.keptBytes)),
        average.compressible > 0 ? `${average.compressed}/${average.compressible}` : "",
      ];
    });
    const header = ["policy", "budget", ...columns, ...AVERAGES];
    return { length, header, rows };
  });
}

/** A row for each policy, a column for each budget: averages in per cent of the full cache's. */
export function percentOfFullRows(averages: readonly Summary[]): LengthTable[] {
  return lengthsOf(averages).map((length) => {
    const own = averages.filter((average) => average.length === length && average.budget !== null);
    const budgets = [...new Set(own.map(({ budget }) => budget))];
    const policies = [...new Set(own.map(({ policy }) => policy))];
    return {
      length,
      header: ["policy", ...budgets.map(String)],
      rows: policies.map((policy) => [
        policy,
        ...budgets.map((budget) =>
          number(own.find((average) => average.policy === policy && average.budget === budget)?.percentOfFull)
        ),
      ]),
    };
  });
}

function lengthsOf(averages: readonly Summary[]): number[] {
  return [...new Set(averages.map(({ length }) => length))];
}

/** Averages over the tasks: score, that in per cent of the full cache's, and so on; in per cent, the divergence in nats. */
const AVERAGES = ["average", "% of full", "± points", "agreement", "KL", "bytes kept", "compressed"];

/** Says in words whether rows were really dropped wherever a prompt is longer than its budget. */
export function compressionStatement(tasks: readonly TaskSummary[]): string {
  const rivals = tasks.filter(({ budget }) => budget !== null);
  if (rivals.length === 0) return "Nothing was compressed: only one contender was asked, as it is.";
  const [compressible, compressed] = ["compressible", "compressed"].map((count) =>
    rivals.reduce((sum, task) => sum + task[count as "compressible" | "compressed"], 0)
  );
  if (compressible === 0) return "No prompt is longer than its budget, or the server does not say which rows it keeps.";
  if (compressible === compressed) {
    return `Compression took place on every sample: all ${compressed} prompts longer than their budget lost rows.`;
  }
  const idle = rivals.filter((task) => task.compressed < task.compressible).map((task) =>
    `${task.policy} at ${task.budget} on ${task.task} of ${task.length} tokens (${
      task.compressible - task.compressed
    } of ${task.compressible})`
  );
  return `Compression did NOT take place on every sample: only ${compressed} of ${compressible} prompts longer than ` +
    `their budget lost rows. Those that lost none: ${idle.join(", ")}.`;
}

function percent(part: number | null): number | null {
  return part === null ? null : 100 * part;
}

function number(value: number | null | undefined): string {
  return value?.toFixed(1) ?? "";
}
