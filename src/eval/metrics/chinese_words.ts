/**
 * @file Chinese text cut into words as `jieba.cut(text, cut_all=False)` of Python's jieba 0.42.1 does it, which LongBench's
 * scores are made with.
 *
 * npm's jieba-wasm (2.4.0) has the same dictionary and the same model of unknown words, but other ideas of what lies
 * between them; it is given Chinese text with letters and digits only, and Latin words and numbers are cut again:
 * - it takes rarer Chinese characters for parts of words, where jieba 0.42.1 has words of one character;
 * - in its expression for numbers the decimal point stands for any character: "1#2" and "A4+86" are one word to it.
 */
import { cut } from "jieba-wasm";

/** What jieba looks up in its dictionary; everything else is cut into single characters. */
const DICTIONARY_TEXT = /([\u4e00-\u9fd5a-zA-Z0-9+#&._%-]+)/u;
/** White space counts one by one, but for a line end of two characters. */
const SINGLE = /\r\n|[^]/gu;
const CHINESE = /[\u4e00-\u9fd5]/;
const LATIN_WORD = /([a-zA-Z0-9]+(?:\.[0-9]+)?%?)/;
/** The words of jieba's dictionary without a Chinese character. */
const LATIN_DICTIONARY = new Set(["AT&T", "C#", "c#", "C++", "c++"]);

/** The words of a text; together they are the text. */
export function chineseWords(text: string): string[] {
  return text.split(DICTIONARY_TEXT).flatMap((part, i) =>
    i % 2 === 1 ? dictionaryWords(part) : part.match(SINGLE) ?? []
  );
}

function dictionaryWords(text: string): string[] {
  const words: string[] = [];
  let latin = "";
  const endLatin = () => {
    words.push(...latin.split(LATIN_WORD).filter((word) => word !== ""));
    latin = "";
  };
  for (const word of cut(text, true)) {
    if (!CHINESE.test(word) && !LATIN_DICTIONARY.has(word)) {
      latin += word;
      continue;
    }
    endLatin();
    words.push(word);
  }
  endLatin();
  return words;
}
