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
 * @param onAnswer called whenever one of the contenders has answered
 * @throws {Error} if it cannot be asked or answered
 */
export type Answerer = (
  question: Question,
  contenders: readonly Contender[],
  onAnswer?: () => void,
) => Promise<Answer[]>;

/** How far a comparison has come, of what had to be asked. */
export interface ComparisonProgress {
  readonly questions: number;
  readonly allQuestions: number;
  /** One for each question and contender. */
  readonly answers: number;
  readonly allAnswers: number;
}

/** What to ask, how, and what goes where. */
export interface Comparison {
  readonly questions: readonly Question[];
  readonly contenders: readonly Contender[];
  readonly file: AnswerFile;
  /** Told what has to be asked, before anything is. */
  onStart?(questions: readonly Question[], answers: number): Promise<void>;
  /** Told after each answer. */
  onProgress(progress: ComparisonProgress): void;
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
  const allAnswers = open.reduce((sum, { missing }) => sum + missing.length, 0);
  if (allAnswers > 0) await comparison.onStart?.(open.map(({ question }) => question), allAnswers);
  let asked = 0;
  let answers = 0;
  const report = () => onProgress({ questions: asked, allQuestions: open.length, answers, allAnswers });
  const work = async () => {
    for (const { question, missing } of queue) {
      let told = 0;
      await file.add(
        await answer(question, missing, () => {
          // The last one is told with its question; and the full cache is asked even where its answer is there already.
          if (told === missing.length - 1) return;
          told++;
          answers++;
          report();
        }),
      );
      asked++;
      answers += missing.length - told;
      report();
    }
  };
  await Promise.all(Array.from({ length: QUESTIONS_AT_ONCE }, work));
  // The file may hold more, of comparisons with other policies, budgets, tasks or lengths.
  const known = new Map(file.answers.map((answer) => [keyOf(answer), answer]));
  return contenders.flatMap((contender) =>
    questions.flatMap((question) =>
      turnsOf(question).map(({ task }) => known.get(keyOf({ ...question, ...contender, task }))!)
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
