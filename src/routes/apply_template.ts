/** @file `POST /apply-template`: the prompt that a chat completion would read, and what of it each message came to. */
import type { Context } from "hono";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { RouteContext, RouteEnvironment } from "./context.ts";
import { renderChat } from "./generation/chat.ts";
import { encodeTexts } from "./generation/encode.ts";
import { requireModel } from "./models.ts";
import { type ChatRequest, chatRequest } from "./requests/chat_request.ts";
import { readRequest } from "./requests/read.ts";
import { BodyMembers, type TemplateMembers } from "./requests/template_members.ts";

/** From, and up to but without. */
type Range = readonly [start: number, end: number];

/** Handles `POST /apply-template`, with the body of a chat completion. */
export function applyTemplateHandler(context: RouteContext) {
  const { text: { tokenizer } } = context;
  return async (c: Context<RouteEnvironment>): Promise<Response> => {
    const { request, text: body } = await readRequest(context, c.req.raw, chatRequest);
    requireModel(context, request.model);
    const members = new BodyMembers(body);
    const { text, encoding } = renderChat(context, request, members);
    const [tokens] = await encodeTexts(context, [text], {
      field: "messages",
      client: c.req.raw.signal,
      options: encoding,
    });
    const starts = tokenStarts(tokenizer, tokens, text);
    const ranges = contentRanges(context, request, members, text);
    return c.json({
      prompt: text,
      count: tokens.length,
      tokens: [...tokens],
      messages: request.messages.map(({ role }, at) => ({
        role,
        characters: ranges[at],
        tokens: ranges[at] && starts && tokenRange(ranges[at], starts),
      })),
    });
  };
}

/** The first of the code points that stand for nothing (Unicode's private use area), two for each message. */
const FIRST_MARK = 0xf0000;

/**
 * Where the content of each message is in the prompt, in UTF-16 units; null where it has none, or the template changes it.
 * Found by rendering the conversation once more, with marks around the contents.
 */
function contentRanges(
  context: RouteContext,
  request: ChatRequest,
  members: TemplateMembers,
  prompt: string,
): (Range | null)[] {
  const none = request.messages.map(() => null);
  const mark = (at: number) => String.fromCodePoint(FIRST_MARK + at);
  const messages = request.messages.map((message, at) => {
    if (typeof message.content !== "string") return message;
    // Within what templates trim.
    const content = message.content.replace(/\S(?:[^]*\S)?/, (inner) => `${mark(2 * at)}${inner}${mark(2 * at + 1)}`);
    return { ...message, content };
  });
  let marked;
  try {
    marked = renderChat(context, { ...request, messages }, members).text;
  } catch {
    return none;
  }
  const places = new Map<number, number>();
  let plain = "";
  for (const character of marked) {
    const at = character.codePointAt(0)! - FIRST_MARK;
    if (at < 0 || at >= 2 * messages.length) plain += character;
    else places.set(at, plain.length);
  }
  // The template looked at what was marked.
  if (plain !== prompt) return none;
  return messages.map((_, at) => {
    const [start, end] = [places.get(2 * at), places.get(2 * at + 1)];
    return start === undefined || end === undefined ? null : [start, end];
  });
}

/**
 * Where each token starts in the text, in UTF-16 units, and at last its end; null if the tokens do not spell the text.
 * A token within a character starts where the character does.
 */
function tokenStarts(tokenizer: Tokenizer, tokens: Uint32Array, text: string): number[] | null {
  const starts: number[] = [];
  const bytes = new TextEncoder().encode(text);
  let at = 0;
  let units = 0;
  let characterStart = 0;
  for (const [index, id] of tokens.entries()) {
    let spelt = tokenizer.tokenBytes(id);
    starts.push(isWithinCharacter(spelt[0]) ? characterStart : units);
    // Added in front of the text rather than written in it.
    const isAdded = (token: Uint8Array) => token.some((byte, i) => bytes[at + i] !== byte);
    if (isAdded(spelt)) {
      if (tokenizer.isSpecial(id) && (index === 0 || index === tokens.length - 1)) continue;
      if (at === 0 && tokenizer.addSpacePrefix && spelt[0] === 0x20) spelt = spelt.subarray(1);
      if (isAdded(spelt)) return null;
    }
    for (const byte of spelt) {
      if (isWithinCharacter(byte)) continue;
      characterStart = units;
      // Those of four bytes take two units.
      units += byte >= 0xf0 ? 2 : 1;
    }
    at += spelt.length;
  }
  return at === bytes.length ? [...starts, text.length] : null;
}

/** Whether it is any but the first byte of a character in UTF-8. */
function isWithinCharacter(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** The tokens that spell a part of the text, those that reach beyond it too. */
function tokenRange([start, end]: Range, starts: readonly number[]): Range {
  const begun = starts.findLastIndex((unit) => unit <= start);
  const first = starts.indexOf(starts[begun]);
  const last = starts.findIndex((unit) => unit >= end);
  return [first, last];
}
