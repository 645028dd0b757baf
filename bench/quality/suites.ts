/** @file The suites that a model can be asked, as questions of one form: our task families, the needle test and RULER. */
import type { ChatTemplate } from "../../src/text/chat_template.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { generateTask, TASK_FAMILY_NAMES, type TaskFamilyName } from "../tasks/families.ts";
import { scoreReply } from "../tasks/scoring.ts";
import { tokenCounter } from "../tasks/token_counter.ts";
import { needleRecall } from "./metrics/needle_recall.ts";
import { needleSamples } from "./needle_in_a_haystack.ts";
import { NEEDLE_TASKS } from "./ruler/needles.ts";
import { rulerSamples } from "./ruler/task.ts";
import { rulerTasks } from "./ruler/tasks.ts";
import type { CountTokens } from "./sample.ts";

/** A question, ready to be asked and scored. */
export interface Question {
  readonly task: string;
  /** The length that was asked for, in tokens. */
  readonly length: number;
  /** From 0 within the task and length. */
  readonly index: number;
  /** Where the fact asked for lies, in per cent of the document, where the suite varies it. */
  readonly depth?: number;
  /** The whole text that the model is to continue, chat template included. */
  readonly prompt: string;
  readonly maxTokens: number;
  /** The score, in [0, 1], of an answer. */
  score(answer: string): number;
}

/** Which questions to make. */
export interface QuestionRequest {
  readonly tasks: readonly string[];
  /** Of prompts, in tokens; for the needle test and RULER the answer's limit is part of it. */
  readonly lengths: readonly number[];
  /** Of each task and length. */
  readonly samples: number;
  readonly seed: number;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: Pick<ChatTemplate, "apply">;
}

/** What a suite makes the questions of one task and length from. */
interface CellRequest {
  readonly task: string;
  readonly length: number;
  readonly samples: number;
  readonly seed: number;
  /** Tokens that a text takes behind other text. */
  readonly countTokens: CountTokens;
  /** Tokens of a whole prompt, chat template included. */
  readonly countPrompt: CountTokens;
  /** The prompt that asks something of the model and begins its answer. */
  ask(content: string, answerPrefix?: string): string;
}

interface Suite {
  readonly tasks: readonly string[];
  questions(request: CellRequest): Question[];
}

/** Per cent; sample after sample takes the next. */
const NEEDLE_DEPTHS = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

const SUITES = {
  tasks: {
    tasks: TASK_FAMILY_NAMES,
    questions: ({ task, length, samples, seed, countTokens, ask }) =>
      Array.from({ length: samples }, (_, index) => {
        const sample = generateTask(task as TaskFamilyName, {
          length,
          // Runs of different seeds share no sample.
          seed: 1_000_000 * seed + index,
          split: "evaluation",
          countTokens,
        });
        const { prompt, maxTokens } = sample;
        return { task, length, index, prompt: ask(prompt), maxTokens, score: (answer) => scoreReply(sample, answer) };
      }),
  },
  needle: {
    tasks: ["needle"],
    questions: ({ task, length, samples, seed, countPrompt, ask }) =>
      NEEDLE_DEPTHS.flatMap((depth, place) => {
        const rounds = Math.ceil((samples - place) / NEEDLE_DEPTHS.length);
        return needleSamples({ lengths: [length], depths: [depth], samples: rounds, seed, countTokens: countPrompt })
          .map((sample, round): Question => ({
            task,
            length,
            index: round * NEEDLE_DEPTHS.length + place,
            depth,
            prompt: ask(sample.context + sample.question, sample.answerPrefix),
            maxTokens: sample.maxNewTokens,
            score: (answer) => needleRecall(answer, sample.answers[0]),
          }));
      }),
  },
  ruler: {
    // Those of question answering need data sets.
    tasks: [...Object.keys(NEEDLE_TASKS), "vt", "cwe", "fwe"],
    questions: ({ task, length, samples, seed, countPrompt, ask }) => {
      const options = { maxTokens: length, samples, seed, countTokens: countPrompt };
      const rulerTask = rulerTasks(options)[task];
      return rulerSamples(task, rulerTask, options).map(({ index, context, question, answerPrefix, ...sample }) => ({
        task,
        length,
        index,
        prompt: ask(context + question, answerPrefix),
        maxTokens: sample.maxNewTokens,
        score: (answer) => rulerTask.metric(answer, sample.answers),
      }));
    },
  },
} satisfies Record<string, Suite>;

export type SuiteName = keyof typeof SUITES;

export const SUITE_NAMES = Object.keys(SUITES) as SuiteName[];

/** The names of a suite's tasks. */
export function suiteTasks(suite: SuiteName): readonly string[] {
  return SUITES[suite].tasks;
}

/**
 * The questions of a suite. The first ones of all tasks and lengths come first, so that a run which is stopped has asked
 * all of them about as often. The same request always gives the same questions, and more samples leave the first as they
 * are.
 *
 * @throws {Error} if a task does not fit into a length
 */
export function suiteQuestions(suite: SuiteName, request: QuestionRequest): Question[] {
  const { tasks, lengths, samples, seed, tokenizer, chatTemplate } = request;
  const countTokens = tokenCounter(tokenizer);
  const ask = (content: string, answerPrefix = "") => chatTemplate.apply([{ role: "user", content }]) + answerPrefix;
  const templateTokens = tokenizer.encode(ask("")).length;
  const countPrompt = (text: string) => countTokens(text) + templateTokens;
  const { questions }: Suite = SUITES[suite];
  return lengths.flatMap((length) =>
    tasks.flatMap((task) => questions({ task, length, samples, seed, countTokens, countPrompt, ask }))
  ).sort((a, b) => a.index - b.index);
}
