/** @file Counts the tokens of pieces of a text, remembering each word's. */
import type { Tokenizer } from "../../text/tokenizer.ts";

/**
 * A function that counts the tokens which a text takes behind another one. Words are counted one by one, each with the
 * space before it, and their numbers remembered: exact for tokenizers whose tokens span no two words, as nearly all do.
 */
export function tokenCounter(tokenizer: Tokenizer): (text: string) => number {
  const known = new Map<string, number>();
  // What stands in front keeps tokenizers from adding a space of their own.
  const front = tokenizer.encode("a", { addSpecial: false, parseSpecial: false }).length;
  const count = (word: string) => {
    let tokens = known.get(word);
    if (tokens === undefined) {
      tokens = tokenizer.encode(`a${word}`, { addSpecial: false, parseSpecial: false }).length - front;
      known.set(word, tokens);
    }
    return tokens;
  };
  return (text) => (` ${text}`.match(/\s*\S+|\s+$/g) ?? []).reduce((sum, word) => sum + count(word), 0);
}
