/** @file What all tokenizers share: begin and end tokens around the encoded text, and decoding by bytes. */

import type { DecodeOptions, EncodeOptions, InfillingTokens, Tokenizer } from "./tokenizer.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** The parts that make a {@linkcode Tokenizer}. */
export interface TokenizerParts {
  readonly vocabulary: Vocabulary;
  readonly beginToken: number | null;
  readonly endTokens: readonly number[];
  readonly infilling: InfillingTokens | null;
  readonly addBeginToken: boolean;
  /** Whether `encode` appends the first end token. */
  readonly addEndToken: boolean;
  readonly addSpacePrefix: boolean;
  /** How tokens are written in texts that are not written as they are called. Default: none. */
  readonly written?: ReadonlyMap<number, string>;
  /** The tokens of a well-formed text, without begin and end tokens. */
  encodeText(text: string, options: EncodeOptions): number[];
}

/** A tokenizer from its parts. */
export class VocabularyTokenizer implements Tokenizer {
  readonly beginToken: number | null;
  readonly endTokens: readonly number[];
  readonly infilling: InfillingTokens | null;
  readonly addedTokens: readonly number[];
  readonly addBeginToken: boolean;
  readonly addSpacePrefix: boolean;
  readonly #parts: TokenizerParts;
  #longestToken: number | undefined;

  constructor(parts: TokenizerParts) {
    this.#parts = parts;
    this.beginToken = parts.beginToken;
    this.endTokens = parts.endTokens;
    this.infilling = parts.infilling;
    this.addedTokens = parts.vocabulary.addedTokens;
    this.addBeginToken = parts.addBeginToken && parts.beginToken !== null;
    this.addSpacePrefix = parts.addSpacePrefix;
  }

  get vocabularySize(): number {
    return this.#parts.vocabulary.size;
  }

  get longestToken(): number {
    return this.#longestToken ??= Array.from({ length: this.vocabularySize }, (_, id) => this.tokenBytes(id).length)
      .reduce((longest, length) => Math.max(longest, length), 1);
  }

  encode(text: string, options: EncodeOptions = {}): Uint32Array<ArrayBuffer> {
    const { addSpecial = true } = options;
    const tokens = this.#parts.encodeText(text.toWellFormed(), options);
    const begin = addSpecial && this.addBeginToken && tokens[0] !== this.beginToken ? [this.beginToken!] : [];
    const end = addSpecial && this.#parts.addEndToken ? this.endTokens.slice(0, 1) : [];
    const result = new Uint32Array(begin.length + tokens.length + end.length);
    result.set(begin);
    result.set(tokens, begin.length);
    result.set(end, begin.length + tokens.length);
    return result;
  }

  decode(tokens: Iterable<number>, { skipSpecial = true, shown, continuation = false }: DecodeOptions = {}): string {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (const id of tokens) {
      if (skipSpecial && this.isSpecial(id) && !shown?.has(id)) continue;
      const piece = this.tokenBytes(id);
      pieces.push(piece);
      length += piece.length;
    }
    const bytes = new Uint8Array(length);
    let offset = 0;
    for (const piece of pieces) {
      bytes.set(piece, offset);
      offset += piece.length;
    }
    const dropSpace = this.addSpacePrefix && !continuation && bytes[0] === 0x20;
    return decodeUtf8(dropSpace ? bytes.subarray(1) : bytes);
  }

  tokenBytes(id: number): Uint8Array<ArrayBuffer> {
    const written = this.#parts.written?.get(id);
    return written === undefined ? this.#parts.vocabulary.bytes(id) : new TextEncoder().encode(written);
  }

  tokenText(id: number): string {
    return decodeUtf8(this.tokenBytes(id));
  }

  isSpecial(id: number): boolean {
    return this.#parts.vocabulary.isSpecial(id);
  }

  idOf(text: string): number | undefined {
    return this.#parts.vocabulary.idOf(text);
  }
}

function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
