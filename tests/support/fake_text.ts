/** @file A tokenizer whose tokens are bytes, a few words and a few control tokens, and a plain chat template. */
import { type ChatTemplate, ChatTemplateError } from "../../src/text/chat_template.ts";
import type { TextEncoding } from "../../src/text/text_processor.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";

/** Ids of the tokens that are not single bytes; ids from 0 to 255 are the bytes. */
export const TOKEN = {
  begin: 256,
  end: 257,
  turnEnd: 258,
  hello: 259,
  world: 260,
  one: 261,
  two: 262,
  grin: 263,
} as const;

const TEXTS: Readonly<Record<number, string>> = {
  [TOKEN.begin]: "<s>",
  [TOKEN.end]: "</s>",
  [TOKEN.turnEnd]: "<|im_end|>",
  [TOKEN.hello]: "Hello",
  [TOKEN.world]: " world",
  [TOKEN.one]: " one",
  [TOKEN.two]: " two",
  [TOKEN.grin]: "😀",
};

const VOCABULARY_SIZE = 300;
const encoder = new TextEncoder();

/** The tokens that spell a text byte by byte. */
export function byteTokens(text: string): number[] {
  return [...encoder.encode(text)];
}

function tokenBytes(id: number): Uint8Array<ArrayBuffer> {
  return id < 256 ? Uint8Array.of(id) : encoder.encode(TEXTS[id] ?? "");
}

const isSpecial = (id: number) => id >= TOKEN.begin && id <= TOKEN.turnEnd;

export const fakeTokenizer: Tokenizer = {
  vocabularySize: VOCABULARY_SIZE,
  longestToken: 10,
  beginToken: TOKEN.begin,
  infilling: null,
  endTokens: [TOKEN.end, TOKEN.turnEnd],
  addedTokens: [TOKEN.begin, TOKEN.end, TOKEN.turnEnd],
  addBeginToken: true,
  addSpacePrefix: false,
  encode: (text, { addSpecial = true } = {}) =>
    Uint32Array.from([...addSpecial ? [TOKEN.begin] : [], ...byteTokens(text)]),
  decode: (tokens, { skipSpecial = true } = {}) =>
    new TextDecoder().decode(
      Uint8Array.from([...tokens].filter((id) => !(skipSpecial && isSpecial(id))).flatMap((id) => [...tokenBytes(id)])),
    ),
  tokenBytes,
  tokenText: (id) => new TextDecoder().decode(tokenBytes(id)),
  isSpecial,
  idOf: (text) => Number(Object.keys(TEXTS).find((id) => TEXTS[Number(id)] === text)) || undefined,
};

export const fakeText: TextEncoding = {
  tokenizer: fakeTokenizer,
  encode: (text, options) => Promise.resolve(fakeTokenizer.encode(text, options)),
};

/** Renders messages as `role: content` lines; refuses a conversation that starts with the assistant. */
export const fakeChatTemplate: ChatTemplate = {
  source: "",
  stopStrings: [],
  render({ messages, tools, continueFinalMessage = false }) {
    if (messages[0].role === "assistant") throw new ChatTemplateError("Conversations must start with the user");
    const toolLine = tools ? `tools: ${JSON.stringify(tools)}\n` : "";
    const begun = continueFinalMessage ? messages.at(-1)!.content : "";
    const lines = (continueFinalMessage ? messages.slice(0, -1) : messages).map(({ role, content }) =>
      `${role}: ${content}\n`
    );
    return { text: `${toolLine}${lines.join("")}assistant:${begun}`, encoding: {}, messages: [] };
  },
};
