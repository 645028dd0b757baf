/**
 * @file RULER's `fwe`: made-up words whose frequencies fall with the square of their rank (a zeta distribution with
 * alpha 2); the most frequent one is dots and does not count, the next three are asked for. Sizes are words, before the
 * share of each is rounded down.
 */
import { stringMatchAll } from "../../metrics/string_match.ts";
import { drawNew, pick, shuffled } from "../random.ts";
import type { RulerTask } from "./task.ts";

const MAX_NEW_TOKENS = 50;
const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const WORD_LETTERS = 6;
const TOKENS_PER_WORD = 50;
/** Riemann's zeta(2): the sum of 1/k^2. */
const ZETA = Math.PI ** 2 / 6;

export function frequentWords(maxTokens: number): RulerTask {
  const vocabularySize = Math.floor((maxTokens - MAX_NEW_TOKENS) / TOKENS_PER_WORD);
  return {
    maxNewTokens: MAX_NEW_TOKENS,
    metric: stringMatchAll,
    // From here on the first five words' frequencies differ.
    smallestSize: 120,
    build(random, size) {
      const used = new Set<string>();
      const word = () => Array.from({ length: WORD_LETTERS }, () => pick(random, LETTERS)).join("");
      const words = Array.from({ length: vocabularySize }, (_, i) => i === 0 ? "..." : drawNew(used, word));
      const text = words.flatMap((word, i) => Array(Math.floor(size / ((i + 1) ** 2 * ZETA))).fill(word));
      return {
        context: "Read the following coded text and track the frequency of each coded word. " +
          `Find the three most frequently appeared coded words. ${shuffled(random, text).join(" ")}`,
        question: "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. " +
          "What are the three most frequently appeared words in the above coded text?",
        answerPrefix: " Answer: According to the coded text above, the three most frequently appeared words are:",
        answers: words.slice(1, 4),
      };
    },
  };
}
