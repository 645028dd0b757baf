/** @file What a comparison is about to ask and how long it will take, told before it begins. */
import { ask } from "../eval/answerers/ask.ts";
import type { Question } from "../eval/suites/question.ts";
import { estimateSeconds, PROBE_TOKENS } from "../eval/comparison/estimate.ts";
import type { RunningEngine } from "../serving/start_engine.ts";
import { formatMinutes } from "./progress.ts";
import { formatCount } from "./units.ts";

/** Beyond so many seconds users are asked whether they mean it. */
const LONG_SECONDS = 30 * 60;

/** A line for people, and a warning where it will take long. */
export function extentLines(questions: readonly Question[], answers: number, seconds: number | null): string[] {
  const tasks = new Set(questions.map(({ task }) => task)).size;
  const what =
    `Asking ${formatCount(questions.length)} ${questions.length === 1 ? "question" : "questions"} of ${tasks} ${
      tasks === 1 ? "task" : "tasks"
    }: ` +
    `${formatCount(answers)} answers`;
  if (seconds === null) return [what];
  const line = `${what}, about ${formatMinutes(1000 * seconds)}`;
  if (seconds <= LONG_SECONDS) return [line];
  return [
    line,
    "That is long: fewer --samples, --tasks, --policies, --budgets or shorter --lengths take less. A run that is stopped " +
    "(Ctrl-C) goes on where it was, if it is started again.",
  ];
}

/** How long the questions will take, by the beginning of one of them. */
export async function probedSeconds(
  running: Pick<RunningEngine, "engine" | "text">,
  questions: readonly Question[],
  answers: number,
): Promise<number> {
  const prompt = (await running.text.encode(questions[0].prompt)).slice(0, PROBE_TOKENS);
  const start = performance.now();
  await ask(running, prompt, 1);
  const seconds = (performance.now() - start) / 1000 * PROBE_TOKENS / prompt.length;
  const promptTokens = questions.reduce((sum, { length }) => sum + length, 0) / questions.length;
  return estimateSeconds({ answers, promptTokens }, seconds);
}
