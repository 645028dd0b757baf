/**
 * @file Where the messages of a conversation are in its prompt: first in the rendered text, then among its tokens.
 *
 *     <|im_start|>user\nHi<|im_end|>\n          "Hi" of the user: characters 17 to 19, rows 3 to 4
 */
import type { MessageRange } from "../contract/generation.ts";
import type { ChatMessage } from "./conversation.ts";
import type { TemplateText } from "./jinja/template_text.ts";
import type { Tokenizer } from "./tokenizer.ts";

const TOKENS_TO_PAUSE = 4096;

/**
 * What each message says, in UTF-16 units of the text. A message that the template leaves out, or changes beyond recognition, is left
 * out.
 */
export function messageTexts(messages: readonly ChatMessage[], { value, marks }: TemplateText): MessageRange[] {
  let mark = 0;
  return messages.flatMap(({ role, content }) => {
    const sent = Array.isArray(content) ? content.map(({ text }) => text ?? "").join("\n") : content as string ?? "";
    const text = sent.trim();
    if (text === "") return [];
    // Only where the client's own text is: a short message can spell the same as the template.
    for (let i = mark; i < marks.length; i += 2) {
      const start = value.indexOf(text, marks[i]);
      if (start < 0) return [];
      if (start + text.length > marks[i + 1]) continue;
      mark = i + 2;
      return [{ role, start, end: start + text.length }];
    }
    return [];
  });
}

/**
 * The same among the tokens of the text: rows from the one with the first character to the one with the last. Where the tokens do not
 * spell the text byte for byte, they are found by their share of it.
 *
 * @param pause is awaited now and then, as a prompt may have a million tokens. Default: does nothing
 */
export async function messageRows(
  tokenizer: Tokenizer,
  text: string,
  tokens: Uint32Array,
  messages: readonly MessageRange[],
  pause: () => Promise<void> = async () => {},
): Promise<MessageRange[]> {
  if (messages.length === 0) return [];
  const bytes = new TextEncoder().encode(text);
  const at = byteOffsets(text, messages.flatMap(({ start, end }) => [start, end]));
  const ends = await tokenEnds(tokenizer, bytes, tokens, pause);
  return messages.map(({ role }, i) => {
    const [start, end] = at.slice(2 * i, 2 * i + 2);
    const first = Math.min(firstAbove(ends, start), tokens.length - 1);
    return { role, start: first, end: Math.min(tokens.length, Math.max(first, firstAbove(ends, end - 1)) + 1) };
  });
}

/** UTF-8 bytes before each of some places, which ascend. */
function byteOffsets(text: string, places: readonly number[]): number[] {
  const encoder = new TextEncoder();
  let [last, bytes] = [0, 0];
  return places.map((place) => {
    bytes += encoder.encode(text.slice(last, place)).length;
    last = place;
    return bytes;
  });
}

/** Where in the text each token ends. */
async function tokenEnds(
  tokenizer: Tokenizer,
  text: Uint8Array,
  tokens: Uint32Array,
  pause: () => Promise<void>,
): Promise<Float64Array> {
  // A prompt has few different tokens, and what one stands for takes longer to find than to compare.
  const known = new Map<number, Uint8Array>();
  const ends = new Float64Array(tokens.length);
  let [at, row] = [0, 0];
  for (; row < tokens.length; row++) {
    if (row % TOKENS_TO_PAUSE === 0) await pause();
    const token = tokens[row];
    let bytes = known.get(token);
    if (bytes === undefined) known.set(token, bytes = tokenizer.tokenBytes(token));
    if (spells(bytes, 0, text, at)) at += bytes.length;
    // The space that some tokenizers put before a first word is not in the text, and nor is a begin token of theirs.
    else if (bytes[0] === 0x20 && spells(bytes, 1, text, at)) at += bytes.length - 1;
    else if (!tokenizer.isSpecial(token)) break;
    ends[row] = at;
  }
  if (row === tokens.length && at === text.length) return ends;
  return ends.map((_, row) => (row + 1) / tokens.length * text.length);
}

/** Whether the bytes from `from` on are those of the text at `at`. */
function spells(bytes: Uint8Array, from: number, text: Uint8Array, at: number): boolean {
  for (let i = from; i < bytes.length; i++) if (text[at + i - from] !== bytes[i]) return false;
  return true;
}

/** The first index whose value is above a number; the length if there is none. */
function firstAbove(ascending: Float64Array, number: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle] > number) high = middle;
    else low = middle + 1;
  }
  return low;
}
