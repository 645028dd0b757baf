/**
 * @file Asks the same questions with the full KV cache and with every policy and budget.
 *
 * All that is missing of a question is asked at the same moment: an engine reads equal prompts once and stores them by
 * each policy, so a comparison costs little more than one run.
 */
import { type Answer, type AnswerFile, keyOf } from "../answerers/answers.ts";
import type { Contender } from "./contender.ts";
import type { Question } from "../suites/question.ts";

/** Questions that are asked at the same time: while one is decoded, all of the next have time to arrive. */
export const QUESTIONS_AT_ONCE = 2;

/**
 * Answers a question as each of the contenders: one answer for each turn and contender.
 *
 * @throws {Error} if it cannot be asked or answered
 */
export type Answerer = (question: Question, contenders: readonly Contender[]) => Promise<Answer[]>;

/** What to ask, how, and what goes where. */
export interface Comparison {
  readonly questions: readonly Question[];
  readonly contenders: readonly Contender[];
  readonly file: AnswerFile;
  /** Told after each question that was asked: how many are done, and of how many that had to be asked. */
  onProgress(done: number, total: number): void;
}

/**
 * Asks what the file does not hold yet.
 *
 * @returns all answers of the comparison, contender by contender
 * @throws {Error} if a question cannot be answered; what was answered before is in the file
 */
export async function compare(answer: Answerer, comparison: Comparison): Promise<Answer[]> {
  const { questions, contenders, file, onProgress } = comparison;
  const answered = new Set(file.answers.map(keyOf));
  const open = questions.flatMap((question) => {
    const missing = contenders.filter((contender) => !answered.has(keyOf({ ...question, ...contender })));
    return missing.length > 0 ? [{ question, missing }] : [];
  });
  const queue = open.values();
  let done = 0;
  const work = async () => {
    for (const { question, missing } of queue) {
      await file.add(await answer(question, missing));
      onProgress(++done, open.length);
    }
  };
  await Promise.all(Array.from({ length: QUESTIONS_AT_ONCE }, work));
  // The file may hold more, of comparisons with other policies, budgets, tasks or lengths.
  const answers = new Map(file.answers.map((answer) => [keyOf(answer), answer]));
  return contenders.flatMap((contender) =>
    questions.flatMap((question) =>
      turnsOf(question).map(({ task }) => answers.get(keyOf({ ...question, ...contender, task }))!)
    )
  );
}

/** The tasks as which the answers to a question are reported: its own, and that of its second turn. */
function turnsOf({ task, followUp }: Question): { task: string }[] {
  return followUp ? [{ task }, { task: secondTurn(task) }] : [{ task }];
}

const SECOND_TURN = ", turn 2";

/** The task as which answers to second questions are reported. */
export function secondTurn(task: string): string {
  return task + SECOND_TURN;
}

/** The task that a question belongs to, in whichever turn it was asked. */
export function withoutTurn(task: string): string {
  return isSecondTurn(task) ? task.slice(0, -SECOND_TURN.length) : task;
}

/** Whether answers reported as a task are those to second questions. */
export function isSecondTurn(task: string): boolean {
  return task.endsWith(SECOND_TURN);
}
