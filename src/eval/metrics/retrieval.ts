/** @file Whether a prediction names the right paragraph, as LongBench's `retrieval_score` has it. */
import { count } from "./count.ts";

/**
 * The share, in [0, 1], of the numbers in the prediction that are the right paragraph's.
 *
 * @param answer such as "Paragraph 15"
 * @throws {Error} if the answer has no such form
 */
export function retrieval(prediction: string, answer: string): number {
  const paragraph = /Paragraph (\p{Nd}+)/u.exec(answer)?.[1];
  if (paragraph === undefined) {
    throw new Error(`An answer must be of the form "Paragraph 15", not ${JSON.stringify(answer)}`);
  }
  return count(prediction, paragraph);
}
