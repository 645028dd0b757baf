/**
 * @file UTF-8 in which no byte is lost: bytes that are not UTF-8 become lone surrogates, as Python's "surrogateescape" has it.
 *
 * Tokens of a vocabulary may be any bytes; with U+FFFD for all that is not UTF-8, different ones would be the same.
 */

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Where byte 0 would lie among the lone surrogates; bytes below 0x80 are always UTF-8. */
const ESCAPED = 0xdc00;

/** The text of the bytes; byte 0xNN outside of UTF-8 becomes U+DCNN. */
export function decodeLossless(bytes: Uint8Array): string {
  const whole = decodeStrict(bytes);
  if (whole !== undefined) return whole;
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = characterLength(bytes, at);
    text += length === 0 ? String.fromCharCode(ESCAPED + bytes[at]) : STRICT.decode(bytes.subarray(at, at + length));
    at += length || 1;
  }
  return text;
}

/** The length of the character at `at` in bytes; 0 where there is none. */
function characterLength(bytes: Uint8Array, at: number): number {
  const [first, second = 0] = bytes.subarray(at, at + 2);
  const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  const isOverlong = (first === 0xe0 && second < 0xa0) || (first === 0xf0 && second < 0x90);
  const isOutside = (first === 0xed && second >= 0xa0) || (first === 0xf4 && second >= 0x90);
  const rest = bytes.subarray(at + 1, at + length);
  const isComplete = rest.length === length - 1 && rest.every((byte) => (byte & 0xc0) === 0x80);
  return isComplete && !isOverlong && !isOutside ? length : 0;
}

function decodeStrict(bytes: Uint8Array): string | undefined {
  try {
    return STRICT.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The bytes that {@linkcode decodeLossless} made the text of. */
export function encodeLossless(text: string): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  // With the flag u, surrogates match only where they are alone.
  if (!/[\udc80-\udcff]/u.test(text)) return encoder.encode(text);
  return Uint8Array.from(
    Array.from(text).flatMap((character) =>
      /[\udc80-\udcff]/u.test(character) ? [character.charCodeAt(0) - ESCAPED] : [...encoder.encode(character)]
    ),
  );
}
