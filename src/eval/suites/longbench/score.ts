/** @file Scores of predictions, as LongBench's `eval.py` computes them. */
import { type JsonLine, optionalTextsField, readJsonLines, textField } from "../json_lines.ts";
import { roundHalfEven } from "../../metrics/rounding.ts";
import { withoutLeadingNewlines } from "../../metrics/python_text.ts";
import { answersOf } from "./records.ts";
import { LONGBENCH_TASKS } from "./tasks.ts";

/** What a model answered, and what is right. */
export interface Prediction {
  readonly prediction: string;
  readonly answers: readonly string[];
  readonly classes: readonly string[] | null;
}

/** The best score of one prediction over all its answers, in [0, 1]. */
export function scorePrediction(task: string, { prediction, answers, classes }: Prediction): number {
  const { metric, firstLine } = LONGBENCH_TASKS[task];
  const text = firstLine ? withoutLeadingNewlines(prediction).split("\n")[0] : prediction;
  return Math.max(0, ...answers.map((answer) => metric(text, answer, classes ?? [])));
}

/** The mean of scores in [0, 1], in per cent with two decimals. */
export function meanScore(scores: readonly number[]): number {
  return roundHalfEven(100 * scores.reduce((sum, score) => sum + score, 0) / scores.length, 2);
}

/**
 * The score of every `TASK.jsonl` of a folder, by task in alphabetical order. A line is
 * `{"pred": "...", "answers": ["..."], "all_classes": null}`, as LongBench's `pred.py` writes it; other fields and other
 * files do not matter.
 *
 * @returns per cent, with two decimals
 * @throws {Error} naming the folder, or the file, line and field, if they are not so
 */
export async function scoreFolder(folder: string): Promise<Record<string, number>> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name)
    .filter((name) => name.endsWith(".jsonl")).sort();
  if (names.length === 0) {
    throw new Error(`${folder} holds no predictions: expected files TASK.jsonl, such as qasper.jsonl`);
  }
  const scores: Record<string, number> = {};
  for (const name of names) {
    const task = name.slice(0, -".jsonl".length);
    scores[task] = await scoreFile(task, `${folder}/${name}`);
  }
  return scores;
}

async function scoreFile(task: string, path: string): Promise<number> {
  if (!Object.hasOwn(LONGBENCH_TASKS, task)) {
    const known = Object.keys(LONGBENCH_TASKS).join(", ");
    throw new Error(`${path} belongs to no task that can be scored: expected TASK.jsonl with one of ${known}`);
  }
  const lines = await readJsonLines(path);
  if (lines.length === 0) throw new Error(`${path} is empty: expected a prediction a line`);
  return meanScore(lines.map((line) => scoreLine(task, line)));
}

function scoreLine(task: string, line: JsonLine): number {
  const prediction = textField(line, "pred");
  const answers = answersOf(line);
  const classes = optionalTextsField(line, "all_classes");
  if (LONGBENCH_TASKS[task].hasClasses && classes === null) {
    throw new Error(`${line.place}: the field "all_classes" must be the list of the task's classes`);
  }
  try {
    return scorePrediction(task, { prediction, answers, classes });
  } catch (error) {
    throw new Error(`${line.place}: the field "answers" cannot be scored: ${(error as Error).message}`);
  }
}
