/** @file Spells bytes in tokens, each as long as can be. It need not be how the tokenizer would: any spelling is the same text. */
import type { Tokenizer } from "../tokenizer.ts";

/** Tokens of more bytes are not looked for. */
const LONGEST = 16;

export class TokenSpeller {
  readonly #tokens = new Map<string, number>();

  constructor(tokenizer: Pick<Tokenizer, "vocabularySize" | "tokenBytes" | "isSpecial">) {
    for (let id = 0; id < tokenizer.vocabularySize; id++) {
      if (tokenizer.isSpecial(id)) continue;
      const bytes = tokenizer.tokenBytes(id);
      const spelled = String.fromCharCode(...bytes.subarray(0, LONGEST + 1));
      if (spelled !== "" && spelled.length <= LONGEST && !this.#tokens.has(spelled)) this.#tokens.set(spelled, id);
    }
  }

  /** @returns null if the vocabulary has no token for one of the bytes */
  spell(bytes: Uint8Array): number[] | null {
    const tokens: number[] = [];
    for (let at = 0; at < bytes.length;) {
      let length = Math.min(LONGEST, bytes.length - at);
      let token: number | undefined;
      for (; length > 0 && token === undefined; length--) {
        token = this.#tokens.get(String.fromCharCode(...bytes.subarray(at, at + length)));
      }
      if (token === undefined) return null;
      tokens.push(token);
      at += length + 1;
    }
    return tokens;
  }
}
