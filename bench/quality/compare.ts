/**
 * @file Asks a model the same questions with the full KV cache and with every policy and budget.
 *
 * All that is missing of a question is asked at the same moment: the engine reads equal prompts once and stores them by
 * each policy, so a comparison costs little more than one run.
 */
import type { KvCacheChoice } from "../../src/engine/messages.ts";
import { type Answer, type AnswerFile, keyOf } from "./answers.ts";
import { ask, type Askable } from "./ask.ts";
import type { Question } from "./question.ts";

/** A policy with a budget; null for the full cache, which has none. */
export interface Contender {
  readonly policy: string;
  readonly budget: number | string | null;
}

export const FULL: Contender = { policy: "full", budget: null };

/** The full cache, then every policy with every budget. */
export function contendersOf(policies: readonly string[], budgets: readonly (number | string)[]): Contender[] {
  const rivals = policies.filter((policy) => policy !== FULL.policy);
  return [FULL, ...budgets.flatMap((budget) => rivals.map((policy) => ({ policy, budget })))];
}

/** Questions that are asked at the same time: while one is decoded, all of the next have time to arrive. */
export const QUESTIONS_AT_ONCE = 2;

/** What to ask, how, and what goes where. */
export interface Comparison {
  readonly questions: readonly Question[];
  readonly contenders: readonly Contender[];
  readonly file: AnswerFile;
  /** The contender as the engine is to be told. */
  parseChoice(contender: { readonly policy: string; readonly budget: number | string }): KvCacheChoice;
  /** Told after each question that was asked: how many are done, and of how many that had to be asked. */
  onProgress(done: number, total: number): void;
}

/**
 * Asks what the file does not hold yet.
 *
 * @returns all answers of the comparison, contender by contender
 * @throws {Error} if the engine refuses a question or fails; what was answered before is in the file
 */
export async function compare(running: Askable, comparison: Comparison): Promise<Answer[]> {
  const { questions, contenders, file, onProgress } = comparison;
  const answered = new Set(file.answers.map(keyOf));
  const open = questions.flatMap((question) => {
    const missing = contenders.filter((contender) => !answered.has(keyOf({ ...question, ...contender })));
    return missing.length > 0 ? { question, missing } : [];
  });
  const queue = open.values();
  let done = 0;
  const work = async () => {
    for (const { question, missing } of queue) {
      await file.add(await answersTo(running, question, missing, comparison));
      onProgress(++done, open.length);
    }
  };
  await Promise.all(Array.from({ length: QUESTIONS_AT_ONCE }, work));
  // The file may hold more, of comparisons with other policies, budgets, tasks or lengths.
  const answers = new Map(file.answers.map((answer) => [keyOf(answer), answer]));
  return contenders.flatMap((contender) =>
    questions.map((question) => answers.get(keyOf({ ...question, ...contender }))!)
  );
}

async function answersTo(
  running: Askable,
  question: Question,
  contenders: readonly Contender[],
  { parseChoice }: Comparison,
): Promise<Answer[]> {
  const { task, length, index, depth = null, maxTokens } = question;
  const prompt = await running.text.encode(question.prompt);
  return await Promise.all(contenders.map(async ({ policy, budget }): Promise<Answer> => {
    // The full cache's budget is not looked at.
    const choice = parseChoice({ policy, budget: budget ?? prompt.length });
    const { text, tokens, kvCache: { rowsPerLayer, bytes, fullBytes } } = await ask(running, prompt, maxTokens, choice);
    return {
      task,
      length,
      promptTokens: prompt.length,
      index,
      depth,
      policy,
      budget,
      tokens: [...tokens],
      answer: text,
      score: question.score(text),
      rowsPerLayer: [...rowsPerLayer],
      bytes,
      fullBytes,
    };
  }));
}
