/**
 * @file The score of the classic needle test in papers on KV cache compression (PyramidKV, DynamicKV): no judge, only
 * which words of the needle were said.
 */
import { splitWords } from "./python_text.ts";

/** The share, in [0, 1], of the answer's different words, with their punctuation, that occur in the prediction. */
export function needleRecall(prediction: string, answer: string): number {
  const said = new Set(splitWords(prediction.toLowerCase()));
  const expected = new Set(splitWords(answer.toLowerCase()));
  return said.intersection(expected).size / expected.size;
}
