/** @file The suites whose questions are generated: our task families, the needle test and RULER. */
import { generateTask, TASK_FAMILY_NAMES, type TaskFamilyName } from "../tasks/families.ts";
import { scoreReply } from "../tasks/scoring.ts";
import { tokenCounter } from "../tasks/token_counter.ts";
import { needleRecall } from "./metrics/needle_recall.ts";
import { needleSamples } from "./needle_in_a_haystack.ts";
import { askedBy, type Question, type QuestionRequest } from "./question.ts";
import { NEEDLE_TASKS } from "./ruler/needles.ts";
import { rulerSamples } from "./ruler/task.ts";
import { rulerTasks } from "./ruler/tasks.ts";
import type { CountTokens } from "./sample.ts";

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
export const NEEDLE_DEPTHS = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

const SUITES = {
  tasks: {
    tasks: TASK_FAMILY_NAMES,
    questions: ({ task, length, samples, seed, countTokens, ask }) =>
      Array.from({ length: samples }, (_, index) => {
        const depth = task === "needle" ? NEEDLE_DEPTHS[index % NEEDLE_DEPTHS.length] : undefined;
        const sample = generateTask(task as TaskFamilyName, {
          length,
          // Runs of different seeds share no sample.
          seed: 1_000_000 * seed + index,
          split: "evaluation",
          depth: depth === undefined ? undefined : depth / 100,
          countTokens,
        });
        const { prompt, answerPrefix, maxTokens } = sample;
        const score = (answer: string) => scoreReply(sample, answerPrefix + answer);
        return { task, length, index, depth, prompt: ask(prompt, answerPrefix), maxTokens, score };
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
  const { tasks, lengths, samples, seed, tokenizer } = request;
  const countTokens = tokenCounter(tokenizer);
  const { ask, templateTokens } = askedBy(request);
  const countPrompt = (text: string) => countTokens(text) + templateTokens;
  const { questions }: Suite = SUITES[suite];
  return lengths.flatMap((length) =>
    tasks.flatMap((task) => questions({ task, length, samples, seed, countTokens, countPrompt, ask }))
  ).sort((a, b) => a.index - b.index);
}
