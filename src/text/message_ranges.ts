/**
 * @file Where the messages of a conversation are in its prompt: first in the rendered text, then among its tokens.
 *
 *     <|im_start|>user\nHi<|im_end|>\n          "Hi" of the user: characters 17 to 19, rows 3 to 4
 */
import type { MessageRange } from "../contract/generation.ts";
import type { ChatMessage } from "./conversation.ts";
import type { TemplateText } from "./jinja/template_text.ts";
import type { Tokenizer } from "./tokenizer.ts";

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
 */
export function messageRows(
  tokenizer: Tokenizer,
  text: string,
  tokens: Uint32Array,
  messages: readonly MessageRange[],
): MessageRange[] {
  if (messages.length === 0) return [];
  const bytes = new TextEncoder().encode(text);
  const at = byteOffsets(text, messages.flatMap(({ start, end }) => [start, end]));
  const ends = tokenEnds(tokenizer, bytes, tokens);
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
function tokenEnds(tokenizer: Tokenizer, text: Uint8Array, tokens: Uint32Array): Float64Array {
  let at = 0;
  const spells = (bytes: Uint8Array) => bytes.every((byte, i) => text[at + i] === byte);
  const ends: number[] = [];
  for (const token of tokens) {
    const bytes = tokenizer.tokenBytes(token);
    if (spells(bytes)) at += bytes.length;
    // The space that some tokenizers put before a first word is not in the text, and nor is a begin token of theirs.
    else if (bytes[0] === 0x20 && spells(bytes.subarray(1))) at += bytes.length - 1;
    else if (!tokenizer.isSpecial(token)) break;
    ends.push(at);
  }
  const isSpelled = ends.length === tokens.length && at === text.length;
  return Float64Array.from(tokens, (_, row) => isSpelled ? ends[row] : (row + 1) / tokens.length * text.length);
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
