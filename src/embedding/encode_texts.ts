/** @file Texts to tokens as an encoder wants them, special tokens among them, and no more than it reads. */
import { Tokenizer } from "@huggingface/tokenizers";
import type { JsonObject } from "../formats/json_object.ts";
import type { TokenSequence } from "./batches.ts";
import type { EncoderTask } from "./protocol.ts";

/** A text has more tokens than may be. */
export class TooLongError extends Error {
  override name = "TooLongError";
  constructor(readonly tokens: number, readonly limit: number) {
    super(`${tokens} tokens, and at most ${limit} are read`);
  }
}

export class TextsEncoder {
  /** Token ids are below it. */
  readonly vocabularySize: number;
  readonly #tokenizer: Tokenizer;

  constructor(tokenizer: JsonObject, config: JsonObject, readonly maximumTokens: number) {
    this.#tokenizer = new Tokenizer(tokenizer, config);
    // The last id of all: added tokens may fill gaps.
    this.vocabularySize = [...this.#tokenizer.get_vocab().values()].reduce((most, id) => Math.max(most, id + 1), 0);
  }

  /**
   * The tokens of a text or a pair. Truncated are texts at their ends; of a pair, the longer one first.
   *
   * @throws {TooLongError}
   */
  encode({ input, second, truncate }: EncoderTask): TokenSequence {
    if (typeof input !== "string") {
      const ids = truncate === undefined ? input : input.slice(0, truncate);
      return this.#fitting({ ids, types: ids.map(() => 0) });
    }
    const whole = this.#encodeTexts(input, second);
    if (truncate === undefined || whole.ids.length <= truncate) return this.#fitting(whole);
    return this.#truncated(input, second, whole.ids.length - truncate);
  }

  /** Drops so many tokens, and puts the special ones around what is left. */
  #truncated(input: string, second: string | undefined, excess: number): TokenSequence {
    const [first, other] = [input, second ?? ""].map((text) => this.#encodeTexts(text, undefined, false).ids);
    // As the original's strategy "longest first".
    for (let dropped = 0; dropped < excess && first.length + other.length > 0; dropped++) {
      (first.length >= other.length ? first : other).pop();
    }
    return this.#withSpecialTokens(first, second === undefined ? undefined : other);
  }

  #encodeTexts(input: string, second?: string, special = true): { ids: number[]; types: number[] } {
    const { ids, token_type_ids: types } = this.#tokenizer.encode(input, {
      text_pair: second ?? null,
      add_special_tokens: special,
      return_token_type_ids: true,
    });
    return { ids, types };
  }

  #withSpecialTokens(first: readonly number[], second?: readonly number[]): TokenSequence {
    // What surrounds texts does not depend on them: it is taken from around a text of one token that nothing else has.
    const frame = this.#frame(second !== undefined);
    const parts = second === undefined ? [first] : [first, second];
    const ids: number[] = [...frame.before];
    const types: number[] = frame.before.map(() => 0);
    parts.forEach((part, at) => {
      const all = [...part, ...frame.after[at]];
      ids.push(...all);
      types.push(...all.map(() => at === 1 ? frame.secondType : 0));
    });
    return { ids, types };
  }

  #frame(isPair: boolean): { before: number[]; after: number[][]; secondType: number } {
    const plain = this.#encodeTexts("a", undefined, false).ids;
    const { ids, types } = this.#encodeTexts("a", isPair ? "a" : undefined);
    const first = ids.indexOf(plain[0]);
    const second = isPair ? ids.indexOf(plain[0], first + plain.length) : ids.length;
    const after = [ids.slice(first + plain.length, second)];
    if (isPair) after.push(ids.slice(second + plain.length));
    return { before: ids.slice(0, first), after, secondType: isPair ? types[second] : 0 };
  }

  #fitting(sequence: TokenSequence): TokenSequence {
    if (sequence.ids.length <= this.maximumTokens) return sequence;
    throw new TooLongError(sequence.ids.length, this.maximumTokens);
  }
}
