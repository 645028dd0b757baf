/** @file Comparisons as text, in the form of the paper's tables: a row for each policy, a column for each task. */
import { table } from "../../charts/text_table.ts";
import type { Mode } from "../answerers/modes.ts";
import { type Summary, type TaskSummary, type Turn, turnsOf, undecidedTasks } from "./aggregate.ts";
import { withoutTurn } from "./compare.ts";

/** What is to be shown of a turn and length. */
export interface ResultTable {
  readonly title: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** All of a comparison, for a terminal: a row for each policy and budget, a column for each task and for each average. */
export function comparisonTables(tasks: readonly TaskSummary[]): string {
  const averages = averageTables(tasks);
  return taskTables(tasks).map(({ title, header, rows }, i) => {
    const wide = rows.map((row, policy) => [...row, ...averages[i].rows[policy].slice(CONTENDER.length)]);
    return `${title}\n\n${table([...header, ...averages[i].header.slice(CONTENDER.length)], wide)}`;
  }).join("\n\n");
}

/** A row for each policy and budget, a column for each task. */
export function taskTables(tasks: readonly TaskSummary[]): ResultTable[] {
  return cellsOf(tasks).map(({ title, tasks, averages }) => {
    const columns = [...new Set(tasks.map(({ task }) => task))];
    const rows = averages.map((average) => {
      const own = tasks.filter(({ policy, budget }) => policy === average.policy && budget === average.budget);
      return [
        ...contender(average),
        ...columns.map((column) => number(own.find(({ task }) => task === column)?.score)),
      ];
    });
    return { title, header: [...CONTENDER, ...columns.map(withoutTurn)], rows };
  });
}

/** A row for each policy and budget, a column for each of what is averaged over the tasks. */
export function averageTables(tasks: readonly TaskSummary[]): ResultTable[] {
  return cellsOf(tasks).map(({ title, averages }) => {
    // Older results do not have all of them.
    const columns = Object.entries(AVERAGES).filter(([, cell]) =>
      cell !== AVERAGES[SAME_ANSWER] || averages.some((average) => cell(average) !== "")
    );
    return {
      title,
      header: [...CONTENDER, ...columns.map(([name]) => name)],
      rows: averages.map((average) => [...contender(average), ...columns.map(([, cell]) => cell(average))]),
    };
  });
}

/** A row for each policy, a column for each budget: averages in per cent of the full cache's. */
export function percentOfFullTables(tasks: readonly TaskSummary[]): ResultTable[] {
  return cellsOf(tasks).map(({ title, averages }) => {
    const own = averages.filter(({ budget }) => budget !== null);
    const budgets = [...new Set(own.map(({ budget }) => budget))];
    const policies = [...new Set(own.map(({ policy }) => policy))];
    return {
      title,
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

/** What a table is of: a turn and length. */
function cellsOf(tasks: readonly TaskSummary[]): (Pick<Turn, "tasks" | "averages"> & { readonly title: string })[] {
  return turnsOf(tasks).flatMap(({ name, tasks, averages }) =>
    [...new Set(averages.map(({ length }) => length))].map((length) => ({
      title: name === null ? `${length} tokens` : `${length} tokens, ${name}`,
      tasks: tasks.filter((task) => task.length === length),
      averages: averages.filter((average) => average.length === length),
    }))
  );
}

function contender({ policy, budget }: Summary): string[] {
  return [policy, String(budget ?? "all")];
}

const CONTENDER = ["policy", "budget"];
const SAME_ANSWER = "same answer";
/** Averages over the tasks: score, that in per cent of the full cache's, and so on; in per cent, the divergence in nats. */
const AVERAGES: Readonly<Record<string, (average: Summary) => string>> = {
  "average": ({ score }) => number(score),
  "% of full": ({ percentOfFull }) => number(percentOfFull),
  "± points": ({ differenceError }) => number(differenceError),
  [SAME_ANSWER]: ({ sameAnswers = null }) => number(percent(sameAnswers)),
  "agreement": ({ agreement }) => number(percent(agreement)),
  "KL": ({ divergence }) => divergence?.toFixed(3) ?? "",
  "bytes kept": ({ keptBytes }) => number(percent(keptBytes)),
  "compressed": ({ compressed, compressible }) => compressible > 0 ? `${compressed}/${compressible}` : "",
};

/** Says in words whether rows were really dropped wherever a prompt, or in `long-answer` an answer, is longer than its budget. */
export function compressionStatement(tasks: readonly TaskSummary[], mode: Mode): string {
  const what = mode === "long-answer" ? "answer" : "prompt";
  const rivals = tasks.filter(({ budget }) => budget !== null);
  if (rivals.length === 0) return "Nothing was compressed: only one contender was asked, as it is.";
  const [compressible, compressed] = ["compressible", "compressed"].map((count) =>
    rivals.reduce((sum, task) => sum + task[count as "compressible" | "compressed"], 0)
  );
  if (compressible === 0) {
    return `No ${what} is longer than its budget, or the server does not say which rows it keeps.`;
  }
  if (compressible === compressed) {
    return `Compression took place on every sample: all ${compressed} ${what}s longer than their budget lost rows.`;
  }
  const idle = rivals.filter((task) => task.compressed < task.compressible).map((task) =>
    `${task.policy} at ${task.budget} on ${task.task} of ${task.length} tokens (${
      task.compressible - task.compressed
    } of ${task.compressible})`
  );
  return `Compression did NOT take place on every sample: only ${compressed} of ${compressible} ${what}s longer than ` +
    `their budget lost rows. Those that lost none: ${idle.join(", ")}.`;
}

/** What of an answer cannot be lost, by when its cache is compressed; undefined where all of it can. */
const SAFE: Readonly<Record<Mode, string | undefined>> = {
  "query-aware":
    "The first token of an answer is drawn before anything is dropped, so an answer of one token cannot be lost.",
  "query-agnostic": undefined,
  "two-turn":
    "The first token of a first answer is drawn before anything is dropped, so one of one token cannot be lost.",
  "decoding": undefined,
  "long-answer":
    "The prompt keeps all of its rows: an answer can be lost only by what becomes of rows that were generated.",
};

/**
 * Names the tasks on which nobody lost anything: what they say of policies is nothing. Undefined where there are none.
 *
 * @param mode in which they were asked
 */
export function undecidedStatement(tasks: readonly TaskSummary[], mode: Mode): string | undefined {
  const undecided = undecidedTasks(tasks);
  if (undecided.length === 0) return undefined;
  const why = SAFE[mode];
  return `Nobody lost anything on ${undecided.join(", ")}: these columns tell no policies apart.${
    why ? ` ${why}` : ""
  }`;
}

function percent(part: number | null): number | null {
  return part === null ? null : 100 * part;
}

function number(value: number | null | undefined): string {
  return value?.toFixed(1) ?? "";
}
