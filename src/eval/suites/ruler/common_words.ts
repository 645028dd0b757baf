/**
 * @file RULER's `cwe`: a numbered list in which ten words occur more often than all others. A solved example stands
 * before it. Sizes are different words.
 */
import { stringMatchAll } from "../../metrics/string_match.ts";
import { drawNew, pick, pickDifferent, type Random, shuffled } from "../random.ts";
import { ADJECTIVES, NOUNS, WORDS } from "../words.ts";
import type { RulerTask } from "./task.ts";

const COMMON_WORDS = 10;

/** How many different words a list has, and how often it repeats the common ones and the others. */
interface Repeats {
  readonly common: number;
  readonly others: number;
}

/** RULER makes shorter lists where the whole prompt has fewer than 4,096 tokens. */
function settings(maxTokens: number): { readonly list: Repeats; readonly example: Repeats & { words: number } } {
  return maxTokens < 4096
    ? { list: { common: 6, others: 1 }, example: { words: 20, common: 3, others: 1 } }
    : { list: { common: 30, others: 3 }, example: { words: 40, common: 10, others: 3 } };
}

export function commonWords(maxTokens: number): RulerTask {
  const { list, example } = settings(maxTokens);
  return {
    maxNewTokens: 120,
    metric: stringMatchAll,
    smallestSize: COMMON_WORDS + 1,
    build(random, size) {
      const { common, ...problem } = wordList(random, size, list);
      return { ...problem, context: solved(random, example) + problem.context, answers: common };
    },
  };
}

function solved(random: Random, example: Repeats & { readonly words: number }): string {
  const { common, context, question, answerPrefix } = wordList(random, example.words, example);
  return `${context}${question}${answerPrefix} ${numbered(common)}\n`;
}

function wordList(random: Random, size: number, repeats: Repeats) {
  const words = differentWords(random, size);
  const common = words.slice(0, COMMON_WORDS);
  const list = words.flatMap((word, i) => Array(i < COMMON_WORDS ? repeats.common : repeats.others).fill(word));
  return {
    common,
    context: "Below is a numbered list of words. In these words, some appear more often than others. " +
      `Memorize the ones that appear most often.\n${numbered(shuffled(random, list))}`,
    question: "\nQuestion: What are the 10 most common words in the above list?",
    answerPrefix: " Answer: The top 10 words that appear most often in the list are:",
  };
}

/** Plain words, or compounds where there are not enough. */
function differentWords(random: Random, count: number): string[] {
  if (count <= WORDS.length) return pickDifferent(random, WORDS, count);
  const used = new Set<string>();
  return Array.from(
    { length: count },
    () => drawNew(used, () => `${pick(random, ADJECTIVES)}-${pick(random, NOUNS)}`),
  );
}

/** "1. word 2. other". */
function numbered(words: readonly string[]): string {
  return words.map((word, i) => `${i + 1}. ${word}`).join(" ");
}
