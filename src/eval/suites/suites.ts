/** @file The suites whose questions are generated: our task families, the needle test and RULER. */
import { askQuestion } from "../tasks/document.ts";
import { generateTask, TASK_FAMILY_NAMES, type TaskFamilyName } from "../tasks/families.ts";
import { scoreReply } from "../tasks/scoring.ts";
import { tokenCounter } from "../tasks/token_counter.ts";
import { needleRecall } from "../metrics/needle_recall.ts";
import { needleSamples } from "./needle_in_a_haystack.ts";
import { askedBy, type Asking, type Question, type QuestionRequest } from "./question.ts";
import { NEEDLE_TASKS } from "./ruler/needles.ts";
import { rulerSamples } from "./ruler/task.ts";
import { rulerTasks, type RulerTexts } from "./ruler/tasks.ts";
import type { CountTokens } from "./sample.ts";

/** What a suite makes the questions of one task and length from. */
interface CellRequest extends Pick<Asking, "ask" | "askNext"> {
  readonly task: string;
  readonly length: number;
  readonly samples: number;
  readonly seed: number;
  readonly texts: RulerTexts;
  /** Tokens that a text takes behind other text. */
  readonly countTokens: CountTokens;
  /** Tokens of a whole prompt, chat template included. */
  readonly countPrompt: CountTokens;
}

interface Suite {
  tasks(texts: RulerTexts): readonly string[];
  questions(request: CellRequest): Question[];
}

/** Per cent; sample after sample takes the next. */
export const NEEDLE_DEPTHS = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

const SUITES = {
  tasks: {
    tasks: () => TASK_FAMILY_NAMES,
    questions: ({ task, length, samples, seed, countTokens, ask, askNext }) =>
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
        const { prompt, question, answerPrefix, maxTokens, metric, followUps: [next] } = sample;
        return {
          task,
          length,
          index,
          depth,
          ...ask({ context: prompt.slice(0, -question.length), question, answerPrefix }),
          maxTokens,
          score: (answer) => scoreReply(sample, answerPrefix + answer),
          followUp: next && {
            text: askNext(askQuestion(next), next.answerPrefix),
            maxTokens,
            score: (answer) => scoreReply({ metric, answers: next.answers }, next.answerPrefix + answer),
          },
        };
      }),
  },
  needle: {
    tasks: () => ["needle"],
    questions: ({ task, length, samples, seed, countPrompt, ask }) =>
      NEEDLE_DEPTHS.flatMap((depth, place) => {
        const rounds = Math.ceil((samples - place) / NEEDLE_DEPTHS.length);
        return needleSamples({ lengths: [length], depths: [depth], samples: rounds, seed, countTokens: countPrompt })
          .map((sample, round): Question => ({
            task,
            length,
            index: round * NEEDLE_DEPTHS.length + place,
            depth,
            ...ask(sample),
            maxTokens: sample.maxNewTokens,
            score: (answer) => needleRecall(answer, sample.answers[0]),
          }));
      }),
  },
  ruler: {
    tasks: ({ squad, hotpot }) => [
      ...Object.keys(NEEDLE_TASKS),
      "vt",
      "cwe",
      "fwe",
      ...squad ? ["qa_1"] : [],
      ...hotpot ? ["qa_2"] : [],
    ],
    questions: ({ task, length, samples, seed, texts, countPrompt, ask }) => {
      const options = { maxTokens: length, samples, seed, countTokens: countPrompt };
      const rulerTask = rulerTasks(options, texts)[task];
      return rulerSamples(task, rulerTask, options).map((sample) => ({
        task,
        length,
        index: sample.index,
        ...ask(sample),
        maxTokens: sample.maxNewTokens,
        score: (answer) => rulerTask.metric(answer, sample.answers),
      }));
    },
  },
} satisfies Record<string, Suite>;

export type SuiteName = keyof typeof SUITES;

export const SUITE_NAMES = Object.keys(SUITES) as SuiteName[];

/** The names of a suite's tasks; those of RULER that answer questions need their data sets. */
export function suiteTasks(suite: SuiteName, texts: RulerTexts = {}): readonly string[] {
  return SUITES[suite].tasks(texts);
}

/**
 * The questions of a suite. The first ones of all tasks and lengths come first, so that a run which is stopped has asked
 * all of them about as often. The same request always gives the same questions, and more samples leave the first as they
 * are.
 *
 * @throws {Error} if a task does not fit into a length
 */
export function suiteQuestions(suite: SuiteName, request: QuestionRequest, texts: RulerTexts = {}): Question[] {
  const { tasks, lengths, samples, seed, tokenizer } = request;
  const countTokens = tokenCounter(tokenizer);
  const { ask, askNext, templateTokens } = askedBy(request);
  const countPrompt = (text: string) => countTokens(text) + templateTokens;
  const { questions }: Suite = SUITES[suite];
  return lengths.flatMap((length) =>
    tasks.flatMap((task) => questions({ task, length, samples, seed, texts, countTokens, countPrompt, ask, askNext }))
  ).sort((a, b) => a.index - b.index);
}
