/**
 * @file Infilling: what belongs between a text and another one that follows it, by models that were trained for it.
 *
 *     [begin] <prefix> text before <suffix> text behind <middle>  -->  what is between, and a token that ends it
 *
 * Bavarian et al., Efficient Training of Language Models to Fill in the Middle, 2022: the order that they call PSM, which
 * models of all families know.
 */
import type { InfillingTokens, Tokenizer } from "./tokenizer.ts";

/** How models write them. Many files do not say which they are, so llama.cpp looks for these; so does Ebb. */
const WRITTEN: readonly Readonly<Record<keyof InfillingTokens, string>>[] = [
  { prefix: "<|fim_prefix|>", suffix: "<|fim_suffix|>", middle: "<|fim_middle|>" },
  { prefix: "<fim_prefix>", suffix: "<fim_suffix>", middle: "<fim_middle>" },
  { prefix: "<fim-prefix>", suffix: "<fim-suffix>", middle: "<fim-middle>" },
  { prefix: "<｜fim▁begin｜>", suffix: "<｜fim▁hole｜>", middle: "<｜fim▁end｜>" },
  { prefix: "▁<PRE>", suffix: "▁<SUF>", middle: "▁<MID>" },
  { prefix: "<PRE>", suffix: "<SUF>", middle: "<MID>" },
  { prefix: "<|code_prefix|>", suffix: "<|code_suffix|>", middle: "<|code_middle|>" },
];

/**
 * The infilling tokens of a vocabulary; null if it does not have all three.
 *
 * @param named those that the file names
 */
export function infillingTokens(
  named: Partial<InfillingTokens>,
  idOf: (text: string) => number | undefined,
): InfillingTokens | null {
  const written = WRITTEN.map((texts) => ({
    prefix: idOf(texts.prefix),
    suffix: idOf(texts.suffix),
    middle: idOf(texts.middle),
  }));
  for (const { prefix, suffix, middle } of [named, ...written]) {
    if (prefix !== undefined && suffix !== undefined && middle !== undefined) return { prefix, suffix, middle };
  }
  return null;
}

/** A character that no token joins to what follows it. */
const APART = "☺";

/** What is to be encoded, without special tokens around it, for a text behind: {@link suffixTokens} takes the tokens. */
export function suffixText(suffix: string, { addSpacePrefix }: Pick<Tokenizer, "addSpacePrefix">): string {
  return addSpacePrefix ? APART + suffix : suffix;
}

/**
 * The tokens of a text behind: no space comes before its first word, as Code Llama's authors have it
 * (facebookresearch/codellama, tokenizer.py).
 *
 * @param encoded from {@link suffixText}
 */
export function suffixTokens(
  encoded: Uint32Array,
  tokenizer: Pick<Tokenizer, "addSpacePrefix" | "encode">,
): Uint32Array {
  return tokenizer.addSpacePrefix ? encoded.subarray(tokenizer.encode(APART, { addSpecial: false }).length) : encoded;
}

/** What a model reads to tell what is between two texts. */
export function infillingPrompt(
  { prefix, suffix, middle }: InfillingTokens,
  { begin, before, behind }: { begin: number | null; before: Uint32Array; behind: Uint32Array },
): Uint32Array {
  const head = begin === null ? [prefix] : [begin, prefix];
  const tokens = new Uint32Array(head.length + before.length + behind.length + 2);
  tokens.set(head);
  tokens.set(before, head.length);
  tokens[head.length + before.length] = suffix;
  tokens.set(behind, head.length + before.length + 1);
  tokens[tokens.length - 1] = middle;
  return tokens;
}
