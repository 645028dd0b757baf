/** @file Scores a reply to a sample, from 0 to 1, with LongBench's and RULER's metrics. */
import { editSimilarity } from "../metrics/edit_similarity.ts";
import { rougeL } from "../metrics/rouge_l.ts";
import { stringMatchPart } from "../metrics/string_match.ts";
import type { TaskMetric, TaskSample } from "./task.ts";

const METRICS: Readonly<Record<TaskMetric, (reply: string, answers: readonly string[]) => number>> = {
  contains: stringMatchPart,
  rougeL: (reply, answers) => best(answers, (answer) => rougeL(reply, answer)),
  editSimilarity: (reply, answers) => best(answers, (answer) => editSimilarity(reply, answer)),
};

/** The score of a reply, the prefix that it was begun with included; of several right answers the closest one counts. */
export function scoreReply({ metric, answers }: Pick<TaskSample, "metric" | "answers">, reply: string): number {
  return METRICS[metric](reply.trim(), answers);
}

function best(answers: readonly string[], score: (answer: string) => number): number {
  return Math.max(...answers.map(score));
}
