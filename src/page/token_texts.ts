/**
 * @file The texts of tokens as a reader wants them. The server names a token that is only a part of a character by its bytes, such as
 * `bytes:\\xd9`; the last token of such a character gets the character here, and those before it an empty text.
 */

/** Texts of the same number, of which the pieces of a character make it whole where all of them are there. */
export function readableTokens(tokens: readonly string[]): string[] {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return tokens.map((token, at) => {
    const bytes = bytesOf(token);
    if (bytes === null) return token;
    const isLast = at + 1 === tokens.length || bytesOf(tokens[at + 1]) === null;
    return decoder.decode(bytes, { stream: !isLast });
  });
}

/**
 * Where a prompt's text begins: at the side that most of its letters are written from. `dir="auto"` would ask its first letter, which
 * is one of a chat template's.
 */
export function directionOf(tokens: readonly string[]): "ltr" | "rtl" {
  const letters = tokens.join("").match(/\p{L}/gu) ?? [];
  const fromTheRight = letters.filter((letter) => /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(letter));
  return fromTheRight.length > letters.length / 2 ? "rtl" : "ltr";
}

function bytesOf(token: string): Uint8Array<ArrayBuffer> | null {
  if (!/^bytes:(\\x[0-9a-f]{2})+$/.test(token)) return null;
  return Uint8Array.from(token.matchAll(/\\x([0-9a-f]{2})/g), ([, digits]) => parseInt(digits, 16));
}
