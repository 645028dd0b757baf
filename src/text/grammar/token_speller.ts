/** @file Spells bytes in tokens, each as long as can be. It need not be how the tokenizer would: any spelling is the same text. */

/** Tokens of more bytes are not looked for. */
const LONGEST = 16;
const MOST_FILLERS = 64;

export class TokenSpeller {
  readonly #tokens = new Map<string, number>();
  /** Long words, longest first: what fills most text with fewest tokens. */
  readonly fillers: readonly number[];

  /** @param tokens the bytes of each */
  constructor(tokens: readonly Uint8Array[]) {
    tokens.forEach((bytes, id) => {
      if (bytes.length === 0 || bytes.length > LONGEST) return;
      const spelled = String.fromCharCode(...bytes);
      if (!this.#tokens.has(spelled)) this.#tokens.set(spelled, id);
    });
    const words = [...this.#tokens].filter(([spelled]) => /^[ 0-9a-zA-Z]{2,}$/.test(spelled));
    this.fillers = words.sort(([a], [b]) => b.length - a.length).slice(0, MOST_FILLERS).map(([, id]) => id);
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
