/** @file From single answers to what is reported of each policy, budget, length and task. */
import { parseBudget } from "../../cache/budgets.ts";
import type { Answer } from "../answerers/answers.ts";
import { isSecondTurn } from "./compare.ts";

/** Means over some answers of a policy with a budget. */
export interface Summary {
  readonly policy: string;
  /** Rows per layer, or a share of the prompt; null for the full cache. */
  readonly budget: number | string | null;
  readonly length: number;
  readonly samples: number;
  /** Per cent. */
  readonly score: number;
  /** The score in per cent of the full cache's on the same questions; null where that is 0 or was not asked. */
  readonly percentOfFull: number | null;
  /** Standard error of the difference to the full cache's score, in points of per cent; null for a single sample or without it. */
  readonly differenceError: number | null;
  /** The part, in [0, 1], of answers that are the full cache's, word for word; null without it. */
  readonly sameAnswers: number | null;
  /** Means over the answers of what {@link Answer} has; null where nothing was compared. */
  readonly agreement: number | null;
  /** Standard error of the mean of the agreement; null for a single sample. Results of before it was computed have none. */
  readonly agreementError?: number | null;
  readonly divergence: number | null;
  /** Bytes of the kept rows as a part, in [0, 1], of those of all rows; null where they are not known. */
  readonly keptBytes: number | null;
  /** Answers to prompts longer than the budget, and how many of them really lost rows. */
  readonly compressible: number;
  readonly compressed: number;
}

/** What came out on one task. */
export interface TaskSummary extends Summary {
  readonly task: string;
  /** Prompt rows that each layer kept. */
  readonly rowsPerLayer: readonly number[];
}

/** An answer beside that of the full cache to the same question. */
interface Pair {
  readonly answer: Answer;
  /** Where the full cache was asked. */
  readonly full?: Answer;
}

/**
 * Sums up each policy, budget, length and task, in the order of the answers.
 *
 * @throws {Error} if the full cache's answer to a question is missing, but not those to all
 */
export function summariseTasks(answers: readonly Answer[]): TaskSummary[] {
  const groups = grouped(
    pairsOf(answers),
    ({ answer: { policy, budget, length, task } }) => JSON.stringify([policy, budget, length, task]),
  );
  return groups.map((pairs) => {
    const [{ answer: { policy, budget, length, task } }] = pairs;
    const rowsPerLayer = pairs[0].answer.rowsPerLayer.map((_, layer) =>
      mean(pairs.map(({ answer }) => answer.rowsPerLayer[layer]))
    );
    const score = 100 * mean(pairs.map(({ answer }) => answer.score));
    const fulls = pairs.flatMap(({ full }) => full ?? []);
    const differences = pairs.flatMap(({ answer, full }) => full ? [100 * (answer.score - full.score)] : []);
    const compressible = pairs.filter(({ answer }) => isCompressible(answer));
    return {
      policy,
      budget,
      length,
      task,
      samples: pairs.length,
      score,
      percentOfFull: shareOf(score, 100 * mean(fulls.map(({ score }) => score))),
      differenceError: standardError(differences),
      sameAnswers: meanOfKnown(
        pairs.map(({ answer, full }) => full ? Number(wordsOf(answer) === wordsOf(full)) : null),
      ),
      agreement: meanOfKnown(pairs.map(({ answer }) => answer.agreement)),
      agreementError: standardError(pairs.flatMap(({ answer }) => answer.agreement ?? [])),
      divergence: meanOfKnown(pairs.map(({ answer }) => answer.divergence)),
      keptBytes: meanOfKnown(pairs.map(({ answer: { bytes, fullBytes } }) => bytes && fullBytes && bytes / fullBytes)),
      rowsPerLayer,
      compressible: compressible.length,
      compressed: compressible.filter(({ answer }) => isCompressed(answer)).length,
    };
  });
}

/** The average over tasks, each of which counts the same, for each policy, budget and length. */
export function averageTasks(tasks: readonly TaskSummary[]): Summary[] {
  const groups = grouped(tasks, ({ policy, budget, length }) => JSON.stringify([policy, budget, length]));
  const fulls = new Map(groups.filter(([{ policy }]) => policy === "full").map((group) => [group[0].length, group]));
  return groups.map((group) => {
    const [{ policy, budget, length }] = group;
    const sum = (value: (task: TaskSummary) => number) => group.reduce((total, task) => total + value(task), 0);
    const average = (value: (task: TaskSummary) => number) => sum(value) / group.length;
    const score = average((task) => task.score);
    return {
      policy,
      budget,
      length,
      samples: sum((task) => task.samples),
      score,
      percentOfFull: shareOf(score, mean((fulls.get(length) ?? []).map((task) => task.score))),
      differenceError: errorOfAverage(group.map((task) => task.differenceError)),
      // Results of before it was looked at have none.
      sameAnswers: meanOfKnown(group.map((task) => task.sameAnswers ?? null)),
      agreement: meanOfKnown(group.map((task) => task.agreement)),
      agreementError: errorOfAverage(group.map((task) => task.agreementError ?? null)),
      divergence: meanOfKnown(group.map((task) => task.divergence)),
      keptBytes: meanOfKnown(group.map((task) => task.keptBytes)),
      compressible: sum((task) => task.compressible),
      compressed: sum((task) => task.compressed),
    };
  });
}

/** What came out in one turn. */
export interface Turn {
  /** Null where there is one turn only. */
  readonly name: string | null;
  readonly tasks: readonly TaskSummary[];
  readonly averages: readonly Summary[];
}

/** The turns apart: what a cache was compressed for says nothing about what it was not, so no average is of both. */
export function turnsOf(tasks: readonly TaskSummary[]): Turn[] {
  const [first, second] = [false, true].map((second) => tasks.filter(({ task }) => isSecondTurn(task) === second));
  if (second.length === 0) return [{ name: null, tasks: first, averages: averageTasks(first) }];
  return [{ name: "first turn", tasks: first, averages: averageTasks(first) }, {
    name: "second turn",
    tasks: second,
    averages: averageTasks(second),
  }];
}

/** The tasks on which every policy has the full cache's score, whatever the budget and length: they tell none apart. */
export function undecidedTasks(tasks: readonly TaskSummary[]): string[] {
  const rivals = tasks.filter(({ budget }) => budget !== null);
  const names = [...new Set(rivals.map(({ task }) => task))];
  return names.filter((name) => rivals.every((rival) => rival.task !== name || rival.percentOfFull === 100));
}

/** Mean score of a policy and budget at a length where the fact asked for lies at a depth. */
export interface DepthSummary extends Pick<Summary, "policy" | "budget" | "length" | "score"> {
  /** Per cent of the document. */
  readonly depth: number;
}

/** Scores of first turns by depth, where the suite varies it. What a second turn asks for lies somewhere else. */
export function summariseDepths(answers: readonly Answer[]): DepthSummary[] {
  const deep = answers.flatMap(({ depth, ...answer }) =>
    depth === null || isSecondTurn(answer.task) ? [] : [{ ...answer, depth }]
  );
  const groups = grouped(deep, ({ policy, budget, length, depth }) => JSON.stringify([policy, budget, length, depth]));
  return groups.map((group) => {
    const [{ policy, budget, length, depth }] = group;
    return { policy, budget, length, depth, score: 100 * mean(group.map(({ score }) => score)) };
  });
}

function pairsOf(answers: readonly Answer[]): Pair[] {
  const questionOf = ({ task, length, index }: Answer) => JSON.stringify([task, length, index]);
  const fulls = new Map(answers.filter(({ policy }) => policy === "full").map((full) => [questionOf(full), full]));
  return answers.map((answer) => {
    const full = fulls.get(questionOf(answer));
    if (full || fulls.size === 0) return { answer, full };
    const { task, length, index } = answer;
    throw new Error(`The full cache's answer to question ${index} of ${task} at ${length} tokens is missing`);
  });
}

function isCompressible({ budget, promptTokens, rowsPerLayer }: Answer): boolean {
  return rowsPerLayer.length > 0 && budget !== null && parseBudget(budget, promptTokens) < promptTokens;
}

function isCompressed({ rowsPerLayer, promptTokens }: Answer): boolean {
  return rowsPerLayer.some((rows) => rows < promptTokens);
}

/** A whole answer, but for how its words are set apart. */
function wordsOf({ answer }: Answer): string {
  return answer.trim().replace(/\s+/g, " ");
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  return [...Map.groupBy(items, keyOf).values()];
}

function shareOf(score: number, full: number): number | null {
  return full > 0 ? 100 * score / full : null;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The mean of those that are known; null if none is. */
function meanOfKnown(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length > 0 ? mean(known) : null;
}

/** Of the average of means that were measured one by one; null if that of one is not known. */
function errorOfAverage(errors: readonly (number | null)[]): number | null {
  if (errors.some((error) => error === null)) return null;
  return Math.hypot(...errors as number[]) / errors.length;
}

/** Of the mean; null for a single value. */
function standardError(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}
