/** @file Learns a byte-fallback BPE vocabulary in SentencePiece's spelling, where ▁ is a space. */

/** What stands before the learnt entries, in this order. */
export const SPECIAL_TOKENS = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>"] as const;

/** Entries of `tokenizer.ggml.token_type`. */
const UNKNOWN = 2, CONTROL = 3, BYTE = 6, NORMAL = 1;

export interface LearntVocabulary {
  readonly tokens: readonly string[];
  /** Merges happen in order of falling score. */
  readonly scores: Float32Array<ArrayBuffer>;
  readonly types: Int32Array<ArrayBuffer>;
}

/** The words that merges stay within: letters with a space before them, single digits, single other characters. */
export function splitWords(text: string): string[] {
  return text.replaceAll(" ", "▁").match(/▁?[A-Za-z]+|▁?[^▁]|▁/gu) ?? [];
}

/**
 * Byte-pair encoding (Sennrich et al. 2016) over words and how often they occur.
 *
 * @param size entries in all: special tokens, 256 bytes, characters, then merges as far as there is room
 */
export function learnVocabulary(wordCounts: ReadonlyMap<string, number>, size: number): LearntVocabulary {
  const characters = new Set("▁");
  const words = [...wordCounts].map(([word, count]) => ({ symbols: [...word], count }));
  for (const { symbols } of words) for (const symbol of symbols) if (/^[ -~▁]$/u.test(symbol)) characters.add(symbol);

  const pairs = new Map<string, { count: number; words: Set<number> }>();
  const countPairs = (index: number, sign: 1 | -1) => {
    const { symbols, count } = words[index];
    for (let i = 0; i + 1 < symbols.length; i++) {
      const key = `${symbols[i]}\0${symbols[i + 1]}`;
      let pair = pairs.get(key);
      if (pair === undefined) pairs.set(key, pair = { count: 0, words: new Set() });
      pair.count += sign * count;
      pair.words.add(index);
    }
  };
  words.forEach((_, index) => countPairs(index, 1));

  const head = [...SPECIAL_TOKENS, ...Array.from({ length: 256 }, (_, byte) => byteName(byte)), ...characters];
  const known = new Set(head);
  const tokens: string[] = [...head];
  while (tokens.length < size) {
    let best: string | undefined;
    let bestCount = 0;
    for (const [key, { count }] of pairs) if (count > bestCount) [best, bestCount] = [key, count];
    if (best === undefined) break;
    const [left, right] = best.split("\0");
    const merged = left + right;
    const touched = pairs.get(best)!.words;
    // Only printable ASCII gets tokens of its own; everything else is spelt in bytes.
    if (/^[ -~▁]+$/u.test(merged) && !known.has(merged)) {
      tokens.push(merged);
      known.add(merged);
    }
    for (const index of touched) {
      countPairs(index, -1);
      const { symbols } = words[index];
      for (let i = 0; i + 1 < symbols.length; i++) {
        if (symbols[i] === left && symbols[i + 1] === right) symbols.splice(i, 2, merged);
      }
      countPairs(index, 1);
    }
    pairs.delete(best);
  }
  const types = Int32Array.from(
    tokens,
    (_, id) =>
      id === 0 ? UNKNOWN : id < SPECIAL_TOKENS.length ? CONTROL : id < SPECIAL_TOKENS.length + 256 ? BYTE : NORMAL,
  );
  const scores = Float32Array.from(tokens, (_, id) => id < head.length ? 0 : head.length - id);
  return { tokens, scores, types };
}

function byteName(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}
