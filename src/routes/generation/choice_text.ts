/** @file Turns the tokens of one choice into text that may be shown, and pairs it with log-probabilities. */
import type { GeneratedToken } from "../../contract/generation.ts";
import { Detokenizer } from "../../text/detokenizer.ts";
import { StopStringFilter } from "../../text/stop_strings.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";

/** A token and where its text starts. */
export interface PlacedToken extends GeneratedToken {
  /** Code points from the start of the generated text. */
  readonly textOffset: number;
}

/** The same with the place in UTF-16 units. */
interface DecodedToken extends PlacedToken {
  readonly start: number;
}

/** How a choice's text is cut. */
export interface ChoiceTextOptions {
  readonly stopStrings: readonly string[];
  readonly includeStop: boolean;
  /** Tokens behind which stop strings are looked for. */
  readonly minTokens?: number;
  readonly skipSpecial: boolean;
  /** Special tokens that are not skipped all the same. */
  readonly shown?: ReadonlySet<number>;
  /** Whether it goes on with a text: then the space that SentencePiece puts before a first word is one to be shown. */
  readonly continuation: boolean;
}

/**
 * The text of one choice. Half a code point and what may become a stop string are held back, and the log-probabilities
 * of a token come no earlier than the first character of its text, so that both always match what the client has seen.
 */
export class ChoiceText {
  readonly #detokenizer: Detokenizer;
  readonly #filter: StopStringFilter;
  /** Tokens whose log-probabilities have not been taken. */
  #tokens: DecodedToken[] = [];
  /** Text released by the filter and not taken yet. */
  #released = "";
  #tokenCount = 0;
  #decodedLength = 0;
  #decodedCodePoints = 0;
  #takenLength = 0;
  #stopString: string | null = null;
  #finished = false;

  constructor(tokenizer: Tokenizer, readonly options: ChoiceTextOptions) {
    const { skipSpecial, shown, continuation } = options;
    this.#detokenizer = new Detokenizer(tokenizer, { skipSpecial, shown, continuation });
    this.#filter = new StopStringFilter(options.stopStrings, { include: options.includeStop });
  }

  /** Whether a stop string has been met; nothing may be pushed after it. */
  get stopped(): boolean {
    return this.#stopString !== null;
  }

  /** The stop string that has been met. */
  get stopString(): string | null {
    return this.#stopString;
  }

  push(token: GeneratedToken): void {
    this.#tokenCount++;
    this.#tokens.push({ ...token, textOffset: this.#decodedCodePoints, start: this.#decodedLength });
    this.#decode(this.#detokenizer.push(token.id));
  }

  /** Releases what was held back. */
  finish(): void {
    this.#finished = true;
    if (!this.stopped) this.#decode(this.#detokenizer.flush());
    if (!this.stopped) this.#released += this.#filter.flush();
  }

  /** Takes the text that may be shown, and the tokens that belong to it. */
  take(): { text: string; tokens: PlacedToken[] } {
    const text = this.#released;
    this.#released = "";
    this.#takenLength += text.length;
    const held = this.#finished && !this.stopped
      ? -1
      : this.#tokens.findIndex(({ start }) => start >= this.#takenLength);
    const tokens = this.#tokens.splice(0, held === -1 ? this.#tokens.length : held);
    return { text, tokens };
  }

  #decode(text: string): void {
    this.#decodedLength += text.length;
    for (const _ of text) this.#decodedCodePoints++;
    const mayStop = this.#tokenCount > (this.options.minTokens ?? 0);
    const { text: shown, matched = null } = mayStop ? this.#filter.push(text) : this.#filter.pass(text);
    this.#released += shown;
    this.#stopString = matched;
  }
}
