/**
 * @file RULER (https://github.com/NVIDIA/RULER, arXiv 2404.06654): what its tasks have in common, and samples of a length.
 *
 * A task builds a prompt of any size, be it lines, words or documents. The size is found once per task, as large as
 * the length in tokens allows; a sample that turns out too long with it is made anew, a little smaller.
 */
import { largestFitting } from "../fit.ts";
import { type Random, seededRandom } from "../random.ts";
import { type CountTokens, promptOf, type Sample } from "../sample.ts";

/** A prompt and its answers, without the numbers around it. */
export type Built = Pick<Sample, "context" | "question" | "answerPrefix" | "answers">;

/** One of RULER's tasks. */
export interface RulerTask {
  readonly maxNewTokens: number;
  /** Score in [0, 1] of a prediction. */
  readonly metric: (prediction: string, answers: readonly string[]) => number;
  readonly smallestSize: number;
  /** Where questions are taken from a data set, how many it has. Default: they are made up. */
  readonly questions?: number;
  /** @param question which of the questions, from 0 */
  build(random: Random, size: number, question: number): Built;
}

/** What samples to make. */
export interface RulerOptions {
  readonly samples: number;
  /** Most tokens of prompt, answer prefix and answer together. */
  readonly maxTokens: number;
  readonly seed: number;
  /** Counts the tokens of a whole prompt, chat template included where one is put around it. */
  readonly countTokens: CountTokens;
}

/**
 * Samples of a task. The same seed gives the same ones, and the first of many are those of few. Questions of a data set
 * whose own documents are too long are passed over.
 *
 * @throws {Error} if the shortest prompt of the task does not fit, or its data set has too few questions
 */
export function rulerSamples(name: string, task: RulerTask, options: RulerOptions): Sample[] {
  const { samples, maxTokens, seed, countTokens } = options;
  const build = (size: number, question: number, key: string): Sample => ({
    ...task.build(seededRandom(seed, name, key, size), size, question),
    task: name,
    index: question,
    maxNewTokens: task.maxNewTokens,
  });
  const fits = (sample: Sample) => countTokens(promptOf(sample)) + task.maxNewTokens <= maxTokens;
  // A question of a data set may be too long at any size; the next one need not be.
  const made: Sample[] = [];
  const largest = largestFitting(task.smallestSize, (size) => fits(build(size, 0, "size"))) ?? task.smallestSize;
  for (let question = 0; made.length < samples; question++) {
    if (question === task.questions) {
      throw new Error(`${name} has ${made.length} questions that fit into ${maxTokens} tokens, not ${samples}`);
    }
    const sample = shrunkUntil(fits, (size) => build(size, question, String(question)), largest, task.smallestSize);
    if (sample) made.push({ ...sample, index: made.length });
    else if (task.questions === undefined) throw new Error(`${name} does not fit into ${maxTokens} tokens`);
  }
  return made;
}

/** The first sample that fits, going down from the largest size; undefined if none does. */
function shrunkUntil(
  fits: (sample: Sample) => boolean,
  build: (size: number) => Sample,
  largest: number,
  smallest: number,
): Sample | undefined {
  for (let size = largest; size >= smallest; size -= Math.ceil(size / 100)) {
    const sample = build(size);
    if (fits(sample)) return sample;
  }
  return undefined;
}
