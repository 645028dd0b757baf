/**
 * @file LongBench's metrics for Chinese (`qa_f1_zh_score`, `rouge_zh_score`, `retrieval_zh_score` of its `metrics.py`), which
 * cut texts into words with jieba.
 */
import { chineseWords } from "./chinese_words.ts";
import { count } from "./count.ts";
import { splitWords } from "./python_text.ts";
import { wordsF1 } from "./qa_f1.ts";
import { rougeL } from "./rouge_l.ts";

/** Python's `string.punctuation`, and the marks that LongBench lists. */
const PUNCTUATION =
  /[!-/:-@[-`{-~！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏]/gu;

/** F1 of the words without punctuation, in [0, 1]. */
export function qaF1Chinese(prediction: string, answer: string): number {
  const normalized = (text: string) =>
    chineseWords(text).map((word) => splitWords(word.toLowerCase().replace(PUNCTUATION, "")).join(""))
      .filter((word) => word !== "");
  return wordsF1(normalized(prediction), normalized(answer));
}

/** ROUGE-L over words, in [0, 1]. */
export function rougeLChinese(prediction: string, reference: string): number {
  return rougeL(chineseWords(prediction).join(" "), chineseWords(reference).join(" "));
}

/**
 * The share, in [0, 1], of the numbers in the prediction that are the right paragraph's.
 *
 * @param answer such as "段落15"
 * @throws {Error} if the answer has no such form
 */
export function retrievalChinese(prediction: string, answer: string): number {
  const paragraph = /段落(\p{Nd}+)/u.exec(answer)?.[1];
  if (paragraph === undefined) {
    throw new Error(`An answer must be of the form "段落15", not ${JSON.stringify(answer)}`);
  }
  return count(prediction, paragraph);
}
