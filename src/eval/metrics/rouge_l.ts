/**
 * @file ROUGE-L as the Python package `rouge` 1.0.1 (pltrdy) computes it on whole summaries, which is what LongBench's
 * scores are made with. It is not the usual LCS F1:
 *
 * - a text is cut into sentences at every full stop, "3.5" and "e.g." included;
 * - for each pair of a reference sentence and a predicted one, the words of *one* longest common subsequence are taken;
 * - the words of all pairs go into one set, and only its size counts, against the numbers of different words of either text.
 *
 * So a word counts once, however often it occurs, and where a pair has several longest common subsequences, which one is
 * read off the table matters.
 */
import { splitWords } from "./python_text.ts";

/** F1 in [0, 1]; 0 where a text has no sentence. */
export function rougeL(prediction: string, reference: string): number {
  const predicted = sentences(prediction);
  const expected = sentences(reference);
  if (predicted.length === 0 || expected.length === 0) return 0;
  const union = new Set<string>();
  for (const left of expected) {
    for (const right of predicted) addCommonWords(left, right, union);
  }
  const recall = union.size / new Set(expected.flat()).size;
  const precision = union.size / new Set(predicted.flat()).size;
  return 2 * (precision * recall / (precision + recall + 1e-8));
}

/** The words of each sentence. A sentence of white space only has one word, the empty one. */
function sentences(text: string): string[][] {
  return text.split(".").filter((sentence) => sentence !== "").map((sentence) => {
    const words = splitWords(sentence);
    return words.length === 0 ? [""] : words;
  });
}

/** Adds the words of a longest common subsequence; of several, the one that stays longest in `left`. */
function addCommonWords(left: readonly string[], right: readonly string[], into: Set<string>): void {
  const width = right.length + 1;
  // lengths[i * width + j]: of the longest common subsequence of left[0..i) and right[0..j)
  const lengths = new Uint32Array((left.length + 1) * width);
  for (let i = 1; i <= left.length; i++) {
    for (let j = 1; j <= right.length; j++) {
      const at = i * width + j;
      lengths[at] = left[i - 1] === right[j - 1]
        ? lengths[at - width - 1] + 1
        : Math.max(lengths[at - width], lengths[at - 1]);
    }
  }
  let i = left.length;
  let j = right.length;
  while (i > 0 && j > 0) {
    const at = i * width + j;
    if (left[i - 1] === right[j - 1]) {
      into.add(left[i - 1]);
      i--;
      j--;
    } else if (lengths[at - width] > lengths[at - 1]) {
      i--;
    } else {
      j--;
    }
  }
}
