/** @file The tokens that texts under a grammar can be made of, packed so that they travel between threads at once. */
import type { Tokenizer } from "../tokenizer.ts";

/** The bytes of all tokens, one behind the other, and where each ends. Those that no text holds have none. */
export interface PackedVocabulary {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly ends: Uint32Array<ArrayBuffer>;
}

/** What a tokenizer's tokens stand for; control tokens for nothing. */
export function packVocabulary(
  tokenizer: Pick<Tokenizer, "vocabularySize" | "tokenBytes" | "isSpecial">,
): PackedVocabulary {
  const tokens = Array.from({ length: tokenizer.vocabularySize }, (_, id) => {
    const bytes = tokenizer.isSpecial(id) ? new Uint8Array() : tokenizer.tokenBytes(id);
    return bytes.some(isNeverText) ? new Uint8Array() : bytes;
  });
  const ends = new Uint32Array(tokens.length);
  let total = 0;
  tokens.forEach((bytes, id) => ends[id] = total += bytes.length);
  const bytes = new Uint8Array(total);
  tokens.forEach((token, id) => bytes.set(token, ends[id] - token.length));
  return { bytes, ends };
}

/** The bytes of every token. */
export function unpackVocabulary({ bytes, ends }: PackedVocabulary): Uint8Array[] {
  return Array.from(ends, (end, id) => bytes.subarray(id === 0 ? 0 : ends[id - 1], end));
}

/** Bytes that are in no UTF-8 text; XGrammar lets them pass. */
function isNeverText(byte: number): boolean {
  return byte === 0xc0 || byte === 0xc1 || byte >= 0xf5;
}
