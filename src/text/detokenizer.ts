/** @file Text from tokens that arrive one at a time. */

import type { DecodeOptions, Tokenizer } from "./tokenizer.ts";

/**
 * Turns a stream of tokens into a stream of text that never ends in half a character.
 *
 * Bytes of an incomplete UTF-8 sequence are held back until the rest arrives; what turns out not to be UTF-8 becomes
 * U+FFFD. All the pushes and the flush together are what `tokenizer.decode` gives for all the tokens under the same
 * options. The one difference is the default: a stream of generated tokens continues its prompt.
 *
 * @example
 * ```ts
 * const detokenizer = new Detokenizer(tokenizer);
 * for (const id of generated) send(detokenizer.push(id));
 * send(detokenizer.flush());
 * ```
 */
export class Detokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecial: boolean;
  readonly #shown: ReadonlySet<number> | undefined;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #dropSpace: boolean;

  /** @param options `continuation` defaults to true here: pass false where the tokens start a text */
  constructor(tokenizer: Tokenizer, { skipSpecial = true, shown, continuation = true }: DecodeOptions = {}) {
    this.#tokenizer = tokenizer;
    this.#skipSpecial = skipSpecial;
    this.#shown = shown;
    this.#dropSpace = tokenizer.addSpacePrefix && !continuation;
  }

  /** The text that is certain once token `id` is known; often empty. */
  push(id: number): string {
    if (this.#skipSpecial && this.#tokenizer.isSpecial(id) && !this.#shown?.has(id)) return "";
    let bytes = this.#tokenizer.tokenBytes(id);
    if (this.#dropSpace && bytes.length > 0) {
      this.#dropSpace = false;
      if (bytes[0] === 0x20) bytes = bytes.subarray(1);
    }
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** What was held back, as U+FFFD where it stayed incomplete. Call once, after the last token. */
  flush(): string {
    return this.#decoder.decode();
  }
}
