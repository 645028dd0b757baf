/**
 * @file How similar a completed line of code is to the right one, as LongBench scores it: `fuzz.ratio` of the Python
 * package fuzzywuzzy 0.18.0 *without* python-Levenshtein, that is, difflib's ratio as a whole percentage. (With
 * python-Levenshtein installed the same call gives scores 1.4 to 3.2 points higher; the published ones are without.)
 */
import { withoutLeadingNewlines } from "./python_text.ts";
import { roundHalfEven } from "./rounding.ts";
import { similarityRatio } from "./sequence_matcher.ts";

/** Similarity in [0, 1], in hundredths, of the right line and the prediction's first line that looks like code. */
export function editSimilarity(prediction: string, answer: string): number {
  const line = firstCodeLine(prediction);
  if (line === answer) return 1;
  if (line === "" || answer === "") return 0;
  return roundHalfEven(100 * similarityRatio(line, answer), 0) / 100;
}

/** The first line without a mark of comments or Markdown fences; empty if there is none. */
function firstCodeLine(text: string): string {
  return withoutLeadingNewlines(text).split("\n").find((line) => !/[`#]|\/\//.test(line)) ?? "";
}
