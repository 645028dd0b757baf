/** @file Whether a prediction gives the right number, as LongBench's `count_score` has it. */
import { digitRuns } from "./python_text.ts";

/** The share, in [0, 1], of the numbers in the prediction that are the answer, digit for digit; 0 if it has none. */
export function count(prediction: string, answer: string): number {
  const numbers = digitRuns(prediction);
  return numbers.length === 0 ? 0 : numbers.filter((number) => number === answer).length / numbers.length;
}
