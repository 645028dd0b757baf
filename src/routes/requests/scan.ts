/**
 * @file A look at the bytes of a JSON text before it is parsed: what would take long to parse, to validate, or to render is
 * refused while it still comes in.
 *
 * Parsing, validating and rendering run on the one thread that serves every client. Their time grows with what is counted
 * here, much more than with the length of the text.
 */
import { HttpError } from "../errors.ts";

/** Most of each that a body may hold; far beyond what a model can read, and within some milliseconds of work. */
export const BODY_LIMITS = {
  depth: 64,
  containers: 8_192,
  values: 524_288,
  strings: 32_768,
  keyBytes: 2 ** 20,
  escapes: 2 ** 20,
} as const;

const WORDS: Readonly<Record<keyof typeof BODY_LIMITS, string>> = {
  depth: "levels of arrays and objects within each other",
  containers: "arrays and objects",
  values: "values",
  strings: "texts",
  keyBytes: "bytes of field names",
  escapes: "escaped characters",
};

const QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, COLON = 0x3a;
/** `[` and `{`, `]` and `}`: each pair differs in this bit only. */
const BRACE_BIT = 0x20, OPEN = 0x5b, CLOSE = 0x5d;

/** Counts what a JSON text holds, piece by piece. Of what is no JSON it says nothing: the parser will. */
export class JsonScanner {
  #inString = false;
  #isEscaped = false;
  #depth = 0;
  #stringBytes = 0;
  readonly #counts = { depth: 0, containers: 0, values: 1, strings: 0, keyBytes: 0, escapes: 0 };

  /** @throws {HttpError} 400 when the text holds more of something than {@link BODY_LIMITS} allow */
  push(bytes: Uint8Array): void {
    const counts = this.#counts;
    for (let at = 0; at < bytes.length; at++) {
      if (this.#inString) {
        at = this.#skipString(bytes, at);
        continue;
      }
      const byte = bytes[at];
      if (byte === QUOTE) {
        this.#inString = true;
        this.#stringBytes = 0;
        counts.strings++;
      } else if (byte === COMMA) counts.values++;
      else if (byte === COLON) counts.keyBytes += this.#stringBytes;
      else if ((byte & ~BRACE_BIT) === OPEN) {
        counts.containers++;
        counts.depth = Math.max(counts.depth, ++this.#depth);
      } else if ((byte & ~BRACE_BIT) === CLOSE) this.#depth--;
    }
    for (const [what, limit] of Object.entries(BODY_LIMITS) as [keyof typeof BODY_LIMITS, number][]) {
      if (counts[what] <= limit) continue;
      throw new HttpError(400, `The request body holds more than ${limit} ${WORDS[what]}`, {
        code: "request_too_complex",
      });
    }
  }

  /** Passes the rest of a text, or what this piece has of it. @returns the place of the last byte passed */
  #skipString(bytes: Uint8Array, from: number): number {
    let at = from;
    if (this.#isEscaped) {
      this.#isEscaped = false;
      at++;
    }
    let escapes = 0;
    for (; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        this.#inString = false;
        break;
      }
      if (byte !== BACKSLASH) continue;
      escapes++;
      if (++at === bytes.length) this.#isEscaped = true;
    }
    this.#counts.escapes += escapes;
    this.#stringBytes += at - from;
    return at;
  }
}
