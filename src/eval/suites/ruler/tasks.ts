/** @file RULER's thirteen tasks by name. */
import { fillerProse } from "../prose.ts";
import { seededRandom } from "../random.ts";
import { commonWords } from "./common_words.ts";
import { frequentWords } from "./frequent_words.ts";
import { NEEDLE_TASKS, needleTask } from "./needles.ts";
import { questionAnswering, type QuestionSet } from "./question_answering.ts";
import type { RulerOptions, RulerTask } from "./task.ts";
import { variableTracking } from "./variable_tracking.ts";

/** Texts that the user may name. */
export interface RulerTexts {
  /** Prose to hide needles in; RULER takes essays by Paul Graham. Default: generated. */
  readonly essay?: string;
  /** For `qa_1`. */
  readonly squad?: QuestionSet;
  /** For `qa_2`. */
  readonly hotpot?: QuestionSet;
}

/** The thirteen tasks, without those of question answering whose data set is not given. */
export function rulerTasks(
  { maxTokens, seed, countTokens }: Pick<RulerOptions, "maxTokens" | "seed" | "countTokens">,
  { essay, squad, hotpot }: RulerTexts = {},
): Record<string, RulerTask> {
  const words = (essay ?? fillerProse(seededRandom(seed, "essay"), 2000)).trim().split(/\s+/);
  return {
    ...Object.fromEntries(Object.entries(NEEDLE_TASKS).map(([name, options]) => [name, needleTask(options, words)])),
    vt: variableTracking(countTokens),
    cwe: commonWords(maxTokens),
    fwe: frequentWords(maxTokens),
    ...(squad && { qa_1: questionAnswering(squad) }),
    ...(hotpot && { qa_2: questionAnswering(hotpot) }),
  };
}
