/**
 * @file The F1 score of an answer's words, for questions with short answers (SQuAD's metric, as LongBench's `metrics.py`
 * applies it to English).
 */
import { splitWords } from "./python_text.ts";

const ASCII_PUNCTUATION = /[!-/:-@[-`{-~]/g;
// Python's \b is between a letter, digit or underscore of any script and anything else.
const ARTICLES = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** The words that count: in lower case, without ASCII punctuation, without articles. */
function normalizedWords(text: string): string[] {
  return splitWords(text.toLowerCase().replace(ASCII_PUNCTUATION, "").replace(ARTICLES, " "));
}

/** F1 of the words of a prediction and an answer, in [0, 1]. */
export function qaF1(prediction: string, answer: string): number {
  return wordsF1(normalizedWords(prediction), normalizedWords(answer));
}

/** F1 of two multisets of words, in [0, 1]. */
export function wordsF1(predicted: readonly string[], expected: readonly string[]): number {
  const remaining = new Map<string, number>();
  for (const word of expected) remaining.set(word, (remaining.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of predicted) {
    const left = remaining.get(word) ?? 0;
    if (left === 0) continue;
    remaining.set(word, left - 1);
    common++;
  }
  if (common === 0) return 0;
  const precision = common / predicted.length;
  const recall = common / expected.length;
  return 2 * precision * recall / (precision + recall);
}
