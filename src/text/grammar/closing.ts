/**
 * @file The shortest way that is easily found from within a document to its end.
 *
 * It goes from byte to byte: what must come next is taken, and where there is a choice, first what closes (a quote, a bracket),
 * then what has been taken least often, so that no loop goes on for ever. A text that is too short yet is filled with long words.
 */
import { hasBit, type TextMatcher } from "./matcher.ts";
import type { TokenSpeller } from "./token_speller.ts";

/** Bytes after which a way is given up. */
const MOST_BYTES = 16_384;
/** Places on a way at which there is a choice: each takes about a millisecond to look at. */
const MOST_CHOICES = 512;
/** Words that are put into a text that may not end yet; more would be a text that has to end in some other way. */
const MOST_FILLERS = 128;

const CLOSING = '}]"';
/** Last comes what opens anew. */
const LAST = ":-\\[{";

const RANKS: readonly number[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  if (CLOSING.includes(character)) return CLOSING.indexOf(character) - CLOSING.length;
  if (LAST.includes(character)) return 1000 + LAST.indexOf(character);
  if (character === ",") return 0;
  return /[0-9a-zA-Z]/.test(character) ? byte : 256 + byte;
});
/** Where more bytes than this may come, the place is within a text: only a quote closes it. */
const MOST_OUTSIDE_TEXT = 16;

const QUOTE = 0x22, BRACKET = 0x5d, BRACE = 0x7d;
const encoder = new TextEncoder();

/**
 * Tokens with which the text that `matcher` follows comes to its end; none if it may end where it is. The matcher stays
 * where it is.
 *
 * @returns null if no way was found
 */
export async function closingTokens(matcher: TextMatcher, speller: TokenSpeller): Promise<number[] | null> {
  const { byteTokens, tokens } = matcher.engine;
  const bytes: number[] = [];
  let taken = 0;
  let filled = 0;
  const uses = new Uint32Array(256);
  const takeToken = (token: number | undefined) => {
    if (token === undefined || !matcher.accept(token)) return false;
    taken++;
    bytes.push(...tokens[token]);
    return true;
  };
  const take = (byte: number) => takeToken(byteTokens[byte]);
  try {
    for (let choices = 0; choices < MOST_CHOICES && bytes.length < MOST_BYTES; choices++) {
      const forced = encoder.encode(matcher.forced);
      if (!forced.every(take)) return null;
      const { mask, mayEnd } = await matcher.next();
      if (mayEnd) return speller.spell(Uint8Array.from(bytes));
      const allowed = byteTokens.flatMap((token, byte) => token !== undefined && hasBit(mask, token) ? [byte] : []);
      const isOpenText = allowed.length > MOST_OUTSIDE_TEXT && !allowed.includes(QUOTE);
      const filler = isOpenText && filled < MOST_FILLERS
        ? speller.fillers.find((token) => hasBit(mask, token))
        : undefined;
      if (filler !== undefined && takeToken(filler)) {
        filled++;
        continue;
      }
      const closes = (byte: number) =>
        allowed.length > MOST_OUTSIDE_TEXT ? byte === QUOTE : byte === BRACE || byte === BRACKET;
      const cost = (byte: number) => RANKS[byte] + (closes(byte) ? -4096 : 4096 * uses[byte]);
      const [best] = allowed.sort((a, b) => cost(a) - cost(b));
      if (best === undefined || !take(best)) return null;
      uses[best]++;
    }
    return null;
  } finally {
    matcher.back(taken);
  }
}
