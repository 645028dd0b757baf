/** @file The tokens of a model: how each is written, what kind it is, and which bytes it stands for. */

import { encodeLossless } from "../formats/lossless_utf8.ts";

/** What a token is for; the numbers are GGUF's `tokenizer.ggml.token_type`. */
export const TOKEN_KINDS = ["undefined", "normal", "unknown", "control", "userDefined", "unused", "byte"] as const;
export type TokenKind = typeof TOKEN_KINDS[number];

/**
 * How normal tokens are written: `byteLevel` has one printable character per byte (GPT-2's table), `sentencePiece` is
 * plain text with `▁` for a space, and tokens `<0x00>` to `<0xFF>` for single bytes.
 */
export type Spelling = "byteLevel" | "sentencePiece";

/** The tokens of a model by id. Several tokens may be written alike only if all but one of them are unused. */
export class Vocabulary {
  readonly #ids: ReadonlyMap<string, number>;

  constructor(
    readonly texts: readonly string[],
    readonly kinds: readonly TokenKind[],
    readonly spelling: Spelling,
  ) {
    const ids = new Map<string, number>();
    texts.forEach((text, id) => {
      if (kinds[id] !== "unused" || !ids.has(text)) ids.set(text, id);
    });
    this.#ids = ids;
  }

  get size(): number {
    return this.texts.length;
  }

  idOf(text: string): number | undefined {
    return this.#ids.get(text);
  }

  /** The tokens that are looked for as a whole. */
  get addedTokens(): number[] {
    return this.kinds.flatMap((kind, id) => kind === "userDefined" || this.isSpecial(id) ? [id] : []);
  }

  /** Whether a token controls the model rather than standing for text. */
  isSpecial(id: number): boolean {
    return this.kinds[id] === "control" || this.kinds[id] === "unknown";
  }

  /** The bytes that a token stands for; none for unused ids and those beyond the vocabulary. */
  bytes(id: number): Uint8Array<ArrayBuffer> {
    const text = this.texts[id];
    const kind: TokenKind | undefined = this.kinds[id];
    switch (kind) {
      case "normal":
        return this.spelling === "byteLevel" ? byteLevelBytes(text) : encodeLossless(text.replaceAll("▁", " "));
      case "byte":
        return Uint8Array.of(parseInt(text.slice(3, 5), 16));
      case "unknown":
      case "control":
      case "userDefined":
        return encodeLossless(text);
      case "unused":
      case "undefined":
      case undefined:
        return new Uint8Array();
      default:
        return kind satisfies never;
    }
  }
}

/** The text of the token that SentencePiece falls back to for a byte. */
export function byteTokenText(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

/** Whether a token is written as a byte, such as `<0x0A>`. */
export function isByteTokenText(text: string): boolean {
  return /^<0x[0-9A-F]{2}>$/.test(text);
}

/**
 * GPT-2's table: printable Latin-1 characters stand for their own byte, the other bytes are numbered from U+0100 on.
 */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = (() => {
  const table = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    table.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return table;
})();

function byteLevelBytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const byte = BYTE_OF_CHARACTER.get(text[i]);
    // Some vocabularies hold added words in plain text among the byte-level ones.
    if (byte === undefined) return encodeLossless(text);
    bytes[i] = byte;
  }
  return bytes;
}
