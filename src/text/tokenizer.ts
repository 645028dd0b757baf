/** @file What a tokenizer is to the rest of Ebb. */

/** How a text is encoded. */
export interface EncodeOptions {
  /** Add the begin (and, where the model asks for it, the end) token. Default: true. */
  readonly addSpecial?: boolean;
  /**
   * Read the text of a special token, such as `<|im_end|>`, as that token rather than as plain characters. Default:
   * true, which rendered chat templates need; switch it off for text that is not trusted to contain control tokens.
   */
  readonly parseSpecial?: boolean;
  /**
   * Parts of the text in which special tokens are plain characters all the same: `[start, end, start, end, ...]` in UTF-16
   * units, ascending. Default: none.
   */
  readonly plainRanges?: readonly number[];
  /** Further added tokens that are plain characters in `plainRanges`. Default: none. */
  readonly plainTokens?: readonly number[];
}

/** How tokens are turned back into text. */
export interface DecodeOptions {
  /** Leave special tokens out. Default: true. */
  readonly skipSpecial?: boolean;
  /** Special tokens that are never left out. Default: none. */
  readonly shown?: ReadonlySet<number>;
  /**
   * The tokens continue a text that came before them. SentencePiece tokenizers write a space before every first word;
   * at the start of a text it is dropped again, in a continuation it is a real space. Default: false.
   */
  readonly continuation?: boolean;
}

/** The tokens in front of a text before a gap, of the text behind it, and of what fills it. */
export interface InfillingTokens {
  readonly prefix: number;
  readonly suffix: number;
  readonly middle: number;
}

/** Turns text into token ids and back. */
export interface Tokenizer {
  /** One more than the highest token id. */
  readonly vocabularySize: number;
  /** The most bytes that a token stands for. */
  readonly longestToken: number;
  readonly beginToken: number | null;
  /** All tokens that end a generation (end of text, end of turn, ...); the file's own end token comes first. */
  readonly endTokens: readonly number[];
  /** What the model was trained to infill with; null if it was not. */
  readonly infilling: InfillingTokens | null;
  /** Tokens that are looked for as a whole before a text is cut into others: special ones and the user's own. */
  readonly addedTokens: readonly number[];
  /** Whether `encode` puts the begin token in front. */
  readonly addBeginToken: boolean;
  /** Whether the first word of a text is written with a space before it (see {@linkcode DecodeOptions}). */
  readonly addSpacePrefix: boolean;
  /**
   * The tokens of `text`. A text that spells the begin token out at its start gets no second one. Lone surrogates
   * count as U+FFFD.
   */
  encode(text: string, options?: EncodeOptions): Uint32Array<ArrayBuffer>;
  /** The text of `tokens`; bytes that are not UTF-8 become U+FFFD. */
  decode(tokens: Iterable<number>, options?: DecodeOptions): string;
  /**
   * The UTF-8 bytes that a token stands for, possibly not whole characters. Special tokens: their name. Ids beyond the
   * vocabulary and unused ones (models pad their vocabulary): no bytes.
   */
  tokenBytes(id: number): Uint8Array<ArrayBuffer>;
  /** `tokenBytes` as text, with U+FFFD for parts of characters. */
  tokenText(id: number): string;
  /** Whether the token controls the model rather than standing for text. */
  isSpecial(id: number): boolean;
  /** The id of the token that is written exactly so in the vocabulary, such as `<|im_end|>`. */
  idOf(text: string): number | undefined;
}
