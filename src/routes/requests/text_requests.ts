/** @file The bodies of `POST /tokenize` and `POST /detokenize`: vLLM's fields, and llama-server's. */
import { z } from "zod";
import { applyTemplateRequest } from "./chat_request.ts";
import { boolean, text, tokenIds } from "./checks.ts";
import { refusals } from "./refused_fields.ts";

/** More than any context has. */
const MAX_TOKENS = 4_000_000;

const withPieces = boolean.nullish().describe("Gives each token as {id, piece}");

/** `POST /tokenize` of a text. */
export const tokenizeTextRequest = z.object({
  model: text.nullish(),
  prompt: text.nullish().describe("The text; llama-server calls it content"),
  content: text.nullish(),
  add_special_tokens: boolean.nullish().describe(
    "Whether the tokens that go around texts are added; default true, for content false",
  ),
  add_special: boolean.nullish(),
  parse_special: boolean.nullish().describe("Whether special tokens that the text spells are tokens; default true"),
  return_token_strs: boolean.nullish().describe("Adds token_strs, the text of each token"),
  with_pieces: withPieces,
}, { error: "expected a JSON object" }).refine(
  ({ prompt, content }) => (typeof prompt === "string") !== (typeof content === "string"),
  { path: ["prompt"], error: "expected one text, as prompt or as content, or else messages" },
);

const INSTEAD = "messages are tokenized";

/** `POST /tokenize` of a conversation, with the body of a chat completion. */
export const tokenizeChatRequest = applyTemplateRequest.safeExtend({
  with_pieces: withPieces,
  ...refusals({
    prompt: [INSTEAD],
    content: [INSTEAD],
    add_special: ["of messages, use add_special_tokens"],
    parse_special: ["what messages say is read as in chat completions"],
  }),
});

/** What the body of `POST /tokenize` has to be: with `messages`, a conversation, else a text. */
export function tokenizeRequest(body: unknown): typeof tokenizeChatRequest | typeof tokenizeTextRequest {
  const { messages } = (body ?? {}) as { messages?: unknown };
  return messages === undefined || messages === null ? tokenizeTextRequest : tokenizeChatRequest;
}

/** `POST /detokenize`. */
export const detokenizeRequest = z.object({
  model: text.nullish(),
  tokens: tokenIds(MAX_TOKENS),
}, { error: "expected a JSON object" });
